package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// The policies of verify are the same however they are written, and wherever.
func TestVerifyPoliciesFromEverySource(t *testing.T) {
	password, _ := session.FactorNamed("password")
	webAuthN, _ := session.FactorNamed("webAuthN")
	want := map[string]*verify.Policy{
		"strict": {Factors: password | webAuthN, MaxAge: 15 * time.Minute, Organizations: []string{"1", "2"}},
		"recent": {MaxAge: time.Hour},
	}
	f := func(name string, args, env []string) {
		t.Helper()
		c, err := loadWith(t, with(args...), env)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if !reflect.DeepEqual(c.API.Verify.Policies, want) || c.API.Verify.Default != "strict" {
			t.Errorf("%s: got %+v", name, c.API.Verify.Policies)
		}
	}
	const strict, recent = "strict=factors:password+webAuthN,max_age:15m,organizations:1+2", "recent=max_age:1h"
	standard := "--verify-default-policy=strict"
	f("flags", []string{"--verify-policy", strict, "--verify-policy=" + recent, standard}, nil)
	f("one flag", []string{"--verify-policy", strict + "; " + recent, standard}, nil)
	f("environment", nil, []string{"CLOAKROOM_VERIFY_POLICY=" + strict + ";" + recent, "CLOAKROOM_VERIFY_DEFAULT_POLICY=strict"})
	for name, yaml := range map[string]string{
		"text":    "verify-policy: " + strict + ";" + recent + "\n",
		"list":    "verify-policy:\n- " + strict + "\n- " + recent + "\n",
		"mapping": "verify-policy:\n  strict: {factors: [password, webAuthN], max_age: 15m, organizations: [1, 2]}\n  recent: {max_age: 1h}\n",
		"mixed":   "verify-policy: {strict: 'factors:password+webAuthN,max_age:15m,organizations:1+2', recent: {max_age: 1h}}\n",
	} {
		f("file, "+name, []string{"--config", testfile.Write(t, yaml+"verify-default-policy: strict\n")}, nil)
	}
	var out bytes.Buffer
	c, err := loadWith(t, with("--verify-policy", strict, "--verify-policy", recent, standard), nil)
	if err == nil {
		err = c.Print(&out)
	}
	if err != nil {
		t.Fatal(err)
	}
	f("what is printed", []string{"--config", testfile.Write(t, strings.ReplaceAll(out.String(), "auth-anonymous: false", "auth-anonymous: true"))}, nil)
}

func TestVerifyPolicyFaults(t *testing.T) {
	for _, text := range []string{
		"strict", "=max_age:1h", "a b=max_age:1h", "..=max_age:1h", "p=", "p=factors:", "p=factors:user", "p=factors:password+", "p=max_age:0",
		"p=max_age:15", "p=max_age:200000h", "p=max_age:1h,max_age:2h", "p=organizations:", "p=organizations:a++b", "p=colour:red",
		"p=max_age:1h;p=max_age:2h", "p=organizations:" + strings.Repeat("x", 201),
	} {
		if _, err := loadWith(t, with("--verify-policy", text), nil); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for text, want := range map[string]string{
		"p=factors:pasword":         "--verify-policy: policy p: factors must be password, webAuthN,",
		"p=max_age:1h;p=max_age:1h": "--verify-policy: policy p is there twice",
	} {
		if _, err := loadWith(t, with("--verify-policy", text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"unix,10.0.0.1/8": "--trusted-proxies: entry 2: 10.0.0.1/8 has bits beyond its length: write 10.0.0.0/8",
		"localhost":       `--trusted-proxies: entry 1: "localhost" is neither unix, loopback, an address nor a CIDR`,
	} {
		if _, err := loadWith(t, with("--trusted-proxies", text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for _, yaml := range []string{
		"verify-policy: {strict: [password]}", "verify-policy: {strict: {factors: {a: b}}}", "verify-policy: [[a]]", "verify-policy: ~",
		"verify-policy: {strict: {organizations: ['1+2']}}", "verify-policy: {strict: {organizations: ['1,max_age:1h']}}",
		"verify-policy: {strict: {max_age: ~}}", "verify-policy: {'a=factors:totp;b': {max_age: 1h}}", "verify-policy: [ 'p=max_age:1h;q=max_age:1h' ]",
	} {
		if c, err := loadWith(t, with("--config", testfile.Write(t, yaml)), nil); err == nil {
			t.Errorf("%s is accepted as %+v", yaml, c.API.Verify.Policies)
		}
	}
	for _, args := range [][]string{
		{"--verify-default-policy=none"},
		{"--stale-if-error=1s", "--near-cache-bytes=0"},
		{"--verify-addr=127.0.0.1:8080"},
		{"--verify-addr=0.0.0.0:1", "--auth-anonymous"},
		{"--grpc-addr=127.0.0.1:8080"},
		{"--grpc-addr=0.0.0.0:1", "--auth-anonymous"},
		{"--grpc-services="},
		{"--grpc-services=api,health"},
		{"--grpc-services=check,check"},
		{"--verify-credentials="},
		{"--verify-credentials=basic"},
		{"--verify-credentials=bearer,bearer"},
		{"--verify-credentials=cookie:"},
		{"--verify-credentials=cookie:a b"},
		{"--verify-metadata=a,,b"},
		{"--verify-metadata=" + strings.Repeat("x", 201)},
	} {
		if _, err := loadWith(t, with(args...), nil); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
