package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// onceReading runs a subcommand that reads its standard input.
func onceReading(t *testing.T, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	p := &program{args: args, env: []string{"PATH=" + os.Getenv("PATH")}, stdin: stdin, stdout: &out, stderr: &log}
	return p.run(t.Context()), out.String(), log.String()
}

// idToken is one that verify takes by soundIssuer.
func idToken(issuer *oidctest.Issuer) string {
	now := time.Now().Unix()
	return issuer.Sign(map[string]any{
		"iss": issuer.URL, "aud": []string{"gateway", "another-client"}, "sub": "alice-the-user", "iat": now, "exp": now + 3600, "auth_time": now,
		"sid": "session-one", "at_hash": "hash-of-access", "amr": []string{"pwd"}, "email": "alice@example.com",
	})
}

func TestDoctor_IssuersAlone(t *testing.T) {
	issuer := startIssuer(t)
	args := append([]string{"doctor"}, issuerArgs(t, issuer.URL, soundIssuer)...)
	code, text, stderr := once(t, args...)
	if code != exitOK || stderr != "" || !strings.HasPrefix(text, "issuer test\nok    discovery      "+issuer.URL) || !strings.HasSuffix(text, "\n\n9 ok\n") {
		t.Errorf("exit code %d:\n%s%s", code, text, stderr)
	}
	code, text, _ = once(t, append(args, "--json")...)
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != exitOK || !r.OK || strings.Contains(text, `"redis"`) || r.Findings[0].Issuer != "test" {
		t.Errorf("exit code %d, %v:\n%s", code, err, text)
	}
	issuer.Stop()
	if code, text, _ = once(t, args...); code != exitFailed || !strings.Contains(text, "FAIL  discovery      nothing listens at") || !strings.Contains(text, "\n                     → start the issuer") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if code, _, stderr = once(t, "doctor"); code != exitUsage || !strings.Contains(stderr, "--redis-url, --auth-issuers-file or --upstream-url is required") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// A fault of Redis hides no check of an issuer, and the other way round.
func TestDoctor_RedisAndIssuersAreIndependent(t *testing.T) {
	issuer := startIssuer(t)
	args := issuerArgs(t, issuer.URL, soundIssuer)
	r := consult(t, append(args, "--redis-url=redis://127.0.0.1:1"))
	if text := r.String(); r.OK || !strings.Contains(text, "fail connection") || !strings.Contains(text, "ok lifetime") {
		t.Errorf("%s", text)
	}
	issuer.Stop()
	r = consult(t, append(args, "--redis-url=memory:"))
	if text := r.String(); r.OK || !strings.Contains(text, "warn server") || !strings.Contains(text, "fail discovery") {
		t.Errorf("%s", text)
	}
	r = consult(t, []string{"--auth-issuers-file=" + testfile.Write(t, "issuers: x"), "--redis-url=memory:"})
	if text := r.String(); r.OK || !strings.Contains(text, "warn server") || !strings.Contains(text, "fail issuers : no issuer is looked at: ") {
		t.Errorf("%s", text)
	}
	code, text, stderr := once(t, append([]string{"doctor", "--redis-url=embedded:" + filepath.Join(testfile.Write(t, ""), "no", "directory")}, args...)...)
	if code != exitFailed || stderr == "" || !strings.Contains(text, "FAIL  discovery") {
		t.Errorf("exit code %d:\n%s%s", code, text, stderr)
	}
}

func TestDoctor_TokenIsExplained(t *testing.T) {
	issuer := startIssuer(t)
	args := append([]string{"doctor"}, issuerArgs(t, issuer.URL, soundIssuer)...)
	token := idToken(issuer)
	hides := func(text string) {
		t.Helper()
		for _, secret := range append(strings.Split(token, "."), "alice-the-user", "session-one", "hash-of-access", "another-client", "alice@example.com", oidctest.ClientSecret) {
			if strings.Contains(text, secret) {
				t.Errorf("I6: it shows %q:\n%s", secret, text)
			}
		}
	}
	for _, given := range []string{token, "  Bearer " + token + "\r\n", "bearer " + token} {
		code, text, stderr := onceReading(t, strings.NewReader(given), append(args, "--token", "-")...)
		if code != exitOK || stderr != "" || !strings.Contains(text, "\ntoken\nok    token          a JWT of ") || !strings.Contains(text, "\nok    session        sid is sess… (11 characters), the session test:sess…") ||
			!strings.Contains(text, "\n\n9 ok\n\ntoken\n") || !strings.Contains(text, "\nskip  caller         is refused: aud: it is for somebody else\n") || !strings.HasSuffix(text, "\nok    verify         is taken until its session or all logins of the user are ended\n") {
			t.Errorf("exit code %d:\n%s%s", code, text, stderr)
		}
		hides(text + stderr)
	}
	code, text, _ := once(t, append(args, "--json", "--token="+testfile.Pipe(t, token))...)
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != exitOK || countOf(r.Token, doctor.OK) < 12 {
		t.Errorf("exit code %d, %v:\n%s", code, err, text)
	}
	hides(text)

	if code, text, _ = onceReading(t, strings.NewReader(token), append(args[:2:2], "--token=-")...); code != exitOK || !strings.Contains(text, "\nwarn  verify         is taken until") {
		t.Errorf("without --verify-accept: exit code %d:\n%s", code, text)
	}

	// A token that nobody takes is a fault.
	expired := issuer.Sign(map[string]any{"iss": issuer.URL, "aud": "gateway", "sub": "a", "exp": 1, "iat": 1})
	if code, text, _ = onceReading(t, strings.NewReader(expired), append(args, "--token=-")...); code != exitFailed || !strings.Contains(text, "FAIL  exp            1970-01-01T00:00:01Z, ") {
		t.Errorf("exit code %d:\n%s", code, text)
	}

	// Credentials of our own making are shown to nobody.
	asked := issuer.Count(oidctest.IntrospectPath)
	for own, want := range map[string]string{"ck_" + strings.Repeat("x", 43): "an API key", "1234567890123456789." + strings.Repeat("y", 43): "a session token"} {
		code, text, _ = onceReading(t, strings.NewReader(own), append(args, "--token=-")...)
		if code != exitOK || !strings.Contains(text, "ok    token          by its form "+want) || strings.Contains(text, own) || strings.Contains(text, own[:20]) {
			t.Errorf("exit code %d:\n%s", code, text)
		}
	}
	if n := issuer.Count(oidctest.IntrospectPath); n != asked+2 { // by the check of introspection
		t.Errorf("the issuer was asked %d times", n-asked)
	}
}

// However doctor is called, it never shows what was to be the token.
func TestI6_DoctorShowsNoTokenThatIsMisplaced(t *testing.T) {
	issuer := startIssuer(t)
	token := idToken(issuer)
	file := issuerArgs(t, issuer.URL, soundIssuer)[0]
	for name, c := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"as an argument":      {"", []string{file, "--token=" + token}, "--token: takes - for standard input, or the path of a file"},
		"with a line end":     {"", []string{file, "--token=" + token + "\n"}, "flag: --token is not one of"},
		"very long":           {"", []string{file, "--token=" + strings.Repeat(token, 20)}, "file name too long"},
		"without issuers":     {token, []string{"--redis-url=memory:", "--token=-"}, "--token: needs --auth-issuers-file"},
		"none":                {" \n", []string{file, "--token=-"}, "--token: there is none"},
		"two":                 {token + "\n" + token, []string{file, "--token=-"}, "--token: has spaces or several lines"},
		"too long":            {strings.Repeat("x", 17<<10), []string{file, "--token=-"}, "--token: has more than 16 KiB"},
		"a directory":         {"", []string{file, "--token=" + t.TempDir()}, "is a directory"},
		"more than it can be": {strings.Repeat(token, 1000), []string{file, "--token=-"}, "--token: has more than 16 KiB"},
	} {
		code, text, stderr := onceReading(t, strings.NewReader(c.stdin), append([]string{"doctor"}, c.args...)...)
		if code != exitUsage || text != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d: %.300s%.300s", name, code, text, stderr)
		}
		if strings.Contains(stderr, token[:20]) {
			t.Errorf("I6: %s: %.300s", name, stderr)
		}
	}
}
