package config

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/assertion"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

func TestAssertionSettings(t *testing.T) {
	t.Parallel()
	key := testfile.Write(t, testfile.SigningKey(t))
	bad := testfile.Write(t, "-----BEGIN PRIVATE KEY-----\nsecretmarker\n-----END PRIVATE KEY-----\n")
	f := func(want string, args ...string) {
		t.Helper()
		_, err := loadWith(t, with(args...), nil)
		got := faultsOf(t, err)
		if len(got) != 1 || !strings.Contains(got[0], want) || strings.Contains(got[0], "secretmarker") {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
	f("--assertion-key-file needs --assertion-audience", "--assertion-key-file="+key)
	f("--assertion-audience needs keys: set --assertion-key-file", "--assertion-audience=shop")
	f("--assertion-issuer must not be empty", "--assertion-key-file="+key, "--assertion-audience=shop", "--assertion-issuer=")
	f("--assertion-audience, --assertion-issuer: the issuer must have at most 200 bytes", "--assertion-key-file="+key, "--assertion-audience=shop", "--assertion-issuer="+strings.Repeat("ü", 101))
	f("--assertion-audience, --assertion-issuer: issuer and audience must together", "--assertion-key-file="+key, "--assertion-audience="+strings.Repeat(strings.Repeat(`"`, 200)+",", 9)+"a")
	f("--assertion-key-file: open /nonexistent/key.pem: no such file", "--assertion-key-file=/nonexistent/key.pem", "--assertion-audience=shop")
	f("--assertion-key-file: "+bad+": key 1 is no Ed25519 private key", "--assertion-key-file="+bad, "--assertion-audience=shop")
	f("flag: --assertion-lifetime", "--assertion-key-file="+key, "--assertion-audience=shop", "--assertion-lifetime=61s")
	f("flag: --assertion-lifetime", "--assertion-key-file="+key, "--assertion-audience=shop", "--assertion-lifetime=4s")
	f("flag: --assertion-audience", "--assertion-key-file="+key, "--assertion-audience="+strings.Repeat("a,", 10)+"a")
	f("flag: --assertion-audience", "--assertion-key-file="+key, "--assertion-audience=a,,b")

	c, err := loadWith(t, with("--assertion-lifetime=10s", "--assertion-issuer=x"), nil)
	if err != nil || c.API.Verify.Assertions != nil || c.AssertionKeys != nil || len(c.Followed()) != 0 {
		t.Errorf("without keys: %v, %v", c, err)
	}
}

// The file of keys is followed: the signer has the new ones, and keeps the old ones while the file is broken.
func TestAssertionKeysAreFollowed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key.pem")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one, two := testfile.SigningKey(t), testfile.SigningKey(t)
	write(one)
	c, err := loadWith(t, with("--assertion-key-file="+file, "--assertion-audience=shop, intranet", "--assertion-lifetime=10s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	signer := c.API.Verify.Assertions
	if signer == nil || len(c.Followed()) != 1 {
		t.Fatalf("no signer, or %d files", len(c.Followed()))
	}
	first := signer.Keys().ID()
	log := new(bytes.Buffer)
	c.AssertionKeys.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	f := func(reloaded, kept int, signs string, keys int) {
		t.Helper()
		for range 3 {
			c.AssertionKeys.Look(false)
		}
		if r, k := strings.Count(log.String(), "keys of assertions reloaded"), strings.Count(log.String(), "were not reloaded"); r != reloaded || k != kept {
			t.Errorf("%d reloads and %d faults, want %d and %d:\n%s", r, k, reloaded, kept, log)
		}
		if k := signer.Keys(); k.ID() != signs || k.Len() != keys {
			t.Errorf("%s signs, of %d", k.ID(), k.Len())
		}
		at := session.TimeOf(time.Unix(1e9, 0))
		if a, ok := signer.Of(&assertion.Claims{User: "u", Expiration: session.Never}, at); !ok || len(a) == 0 {
			t.Error("there is no assertion")
		}
	}
	f(0, 0, first, 1)
	write(one + two)
	f(1, 0, first, 2)
	write(two + one)
	for range 3 {
		c.AssertionKeys.Look(false)
	}
	second := signer.Keys().ID()
	if second == first {
		t.Error("the first key of the file does not sign")
	}
	f(2, 0, second, 2)
	write(two + "-----BEGIN PRIVATE KEY-----\nsecretmarker\n")
	f(2, 1, second, 2)
	write("")
	f(2, 2, second, 2)
	write(two)
	f(3, 2, second, 1)
	if text := log.String(); strings.Contains(text, "secretmarker") || strings.Contains(text, "PRIVATE") || strings.Contains(text, "MC4C") {
		t.Errorf("I6: the log repeats a key:\n%s", text)
	}
}
