package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

func TestUpstream_FaultsNameTheSettings(t *testing.T) {
	token := testfile.Write(t, "token-of-a-test\n")
	bad := testfile.Write(t, "two words")
	url, file := "--upstream-url=https://id.example.com", "--upstream-token-file="+token
	f := func(wanted string, args ...string) {
		t.Helper()
		_, err := loadWith(t, with(args...), nil)
		if err == nil {
			t.Errorf("%v: no error", args)
			return
		}
		faults := faultsOf(t, err)
		if !slices.ContainsFunc(faults, func(s string) bool { return strings.Contains(s, wanted) }) {
			t.Errorf("%v: %q has not %q", args, faults, wanted)
		}
		for _, fault := range faults {
			if strings.Contains(fault, "two words") || strings.Contains(fault, "hunter2") {
				t.Errorf("%v: %q shows a secret", args, fault)
			}
		}
	}
	f("--upstream-token-file needs --upstream-url", file)
	f("--upstream-host needs --upstream-url", "--upstream-host=h")
	f("--upstream-ca-file needs --upstream-url", "--upstream-ca-file=/f")
	f("--upstream-event-key-file needs --upstream-url", "--upstream-event-key-file=/f")
	f("--upstream-event-key-file: open /nonexistent/keys: no such file", url, file, "--upstream-event-key-file=/nonexistent/keys")
	f("--upstream-event-key-file: "+bad+": line 1: a signing key must have 8 to 512", url, file, "--upstream-event-key-file="+bad)
	f("has no signing key: `cloakroom zitadel-setup --apply` gets one", url, file, "--upstream-event-key-file="+testfile.Write(t, ""))
	f("--upstream-allow-http needs --upstream-url", "--upstream-allow-http")
	f("--upstream-url needs --upstream-token-file", url)
	f("--upstream-url: http is for loopback only, unless --upstream-allow-http is true", "--upstream-url=http://id.example.com", file)
	f("--upstream-url, --upstream-host: the URL must be https://HOST", "--upstream-url=id.example.com", file)
	f("--upstream-url, --upstream-host: the URL must have no user", "--upstream-url=https://u:hunter2@id.example.com", file)
	f("--upstream-url, --upstream-host: the host must be HOST", url, file, "--upstream-host=a/b")
	f("--upstream-ca-file needs an --upstream-url with https", "--upstream-url=http://127.0.0.1:8080", file, "--upstream-ca-file="+token)
	f("--upstream-ca-file: "+token+": has no certificate", url, file, "--upstream-ca-file="+token)
	f("--upstream-token-file: open /nonexistent/token: no such file", url, "--upstream-token-file=/nonexistent/token")
	f("--upstream-token-file: "+bad+": must have a personal access token", url, "--upstream-token-file="+bad)
	f("--max-sessions-per-user cannot be set with --upstream-url", url, file, "--max-sessions-per-user=5")
	f("--stale-if-error cannot be set with --upstream-url", url, file, "--stale-if-error=5s")
	f("--default-lifetime cannot be set with --upstream-url", url, file, "--default-lifetime=1h")
	f("--upstream-keep must be longer than --upstream-max-age-proven and --upstream-max-age, of which the longer is 10m0s", url, file, "--upstream-keep=10m")
	f("--upstream-keep must be longer than --upstream-max-age-proven and --upstream-max-age, of which the longer is 1h0m0s", url, file, "--upstream-keep=1h", "--upstream-max-age=1h")
	f("flag: --upstream-keep", url, file, "--upstream-keep=9000h")
	f("flag: --upstream-timeout", url, file, "--upstream-timeout=2m")
	f("flag: --upstream-concurrency", url, file, "--upstream-concurrency=0")
	f("flag: --upstream-queue", url, file, "--upstream-queue=-1")
}

func TestUpstream_IsAClientsConfig_AndItsFilesAreFollowed(t *testing.T) {
	token := testfile.Write(t, "token-of-a-test\n")
	keys := testfile.Write(t, "first-signing-key\nsecond-signing-key\n")
	ca := testfile.Write(t, string(tlstest.NewAuthority(t).PEM))
	c, err := loadWith(t, with("--upstream-url=https://id.example.com/z/", "--upstream-host=login.example.com", "--upstream-token-file="+token,
		"--upstream-ca-file="+ca, "--upstream-event-key-file="+keys, "--upstream-timeout=2s", "--upstream-concurrency=8", "--upstream-queue=9", "--max-session-bytes=8KiB"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("it warns of %q", c.Warnings)
	}
	if odd, err := loadWith(t, with("--upstream-url=https://id.example.com/z/", "--upstream-token-file="+token, "--upstream-poll=25s"), nil); err != nil || len(odd.Warnings) != 1 || !strings.Contains(odd.Warnings[0], "--upstream-poll (25s)") {
		t.Errorf("got %+v, %v", odd, err)
	}
	u := c.Upstream.Client
	if u.URL != "https://id.example.com/z/" || u.Host != "login.example.com" || u.AllowHTTP || u.Timeout != 2*time.Second || u.Concurrency != 8 || u.Queue != 9 || u.SessionBytes != 8<<10 {
		t.Errorf("got %+v", u)
	}
	if c.Upstream.MaxAge != 30*time.Second || c.Upstream.Keep != 24*time.Hour {
		t.Errorf("got %+v", c.Upstream)
	}
	if u.Credentials != c.Upstream.Credentials.Value() || u.Credentials.Kind() != "personal access token" || u.RootCAs == nil || u.RootCAs != c.Upstream.RootCAs.Value() {
		t.Error("the files are not in it")
	}
	if n := c.Upstream.EventKeys.Value().Len(); n != 2 {
		t.Errorf("%d signing keys", n)
	}
	followed := c.Followed()
	if len(followed) != 3 {
		t.Errorf("%d files are followed", len(followed))
	}
	client, err := upstream.New(u)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()

	for _, url := range []string{"http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"} {
		if c, err = loadWith(t, with("--upstream-url="+url, "--upstream-token-file="+token), nil); err != nil || c.Upstream == nil || c.Upstream.RootCAs != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if c, err = loadWith(t, with("--upstream-url=http://zitadel:8080", "--upstream-allow-http", "--upstream-token-file="+token), nil); err != nil || !c.Upstream.Client.AllowHTTP {
		t.Error(err)
	}
	if c, err = loadWith(t, with(), nil); err != nil || c.Upstream != nil || len(c.Followed()) != 0 {
		t.Errorf("without settings: %v", err)
	}
}

// The subcommand that sets up a ZITADEL needs no Redis, nobody who may call, and no keys yet.
func TestUpstream_ToSetUpTakesLess(t *testing.T) {
	token := testfile.Write(t, "token-of-a-test\n")
	load := func(args ...string) (*Config, error) {
		return Load(t.Context(), Source{Subcommand: SetUp, Args: args})
	}
	c, err := load("--upstream-url=https://id.example.com", "--upstream-token-file="+token, "--upstream-event-key-file=/nonexistent/keys")
	if err != nil || c.Upstream.EventKeys != nil || c.Upstream.EventKeyFile != "/nonexistent/keys" {
		t.Error(err)
	}
	for wanted, args := range map[string][]string{
		"--upstream-url is required":                 {"--upstream-token-file=" + token},
		"--upstream-url needs --upstream-token-file": {"--upstream-url=https://id.example.com"},
	} {
		if _, err := load(args...); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
