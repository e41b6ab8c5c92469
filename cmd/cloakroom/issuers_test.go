package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// issuersYAML trusts an issuer, whose role makes an admin.
func issuersYAML(issuer *oidctest.Issuer, role string) string {
	return "issuers:\n  - issuer: " + issuer.URL + "\n    audience: [cloakroom]\n    claims: {permissions: roles}\n" +
		"    permissions: {" + role + ": {instance: [session.read, session.write]}}\n    logout: {audience: [gateway]}\n"
}

// TestIssuers is the program with access tokens as its only credentials, whose
// file changes, and a logout.
func TestIssuers(t *testing.T) {
	issuer := oidctest.Start(t)
	file := testfile.Write(t, issuersYAML(issuer, "admin"))
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-issuers-file", file}, quick()...))
	api, _ := p.ready(t)
	issuer.WaitFor(oidctest.KeysPath, 1)
	now := time.Now().Unix()
	bearer := func(role string) []string {
		token := issuer.Sign(map[string]any{"iss": issuer.URL, "aud": "cloakroom", "sub": role, "exp": now + 600, "roles": []string{role}})
		return []string{"Authorization", "Bearer " + token}
	}
	admin, boss := bearer("admin"), bearer("boss")
	// The keys are there a moment after they were asked for.
	awaitCall(t, 200, "POST", api+"/v2/sessions/search", "{}", admin...)
	id := create(t, api, "u1", admin...)
	path := api + "/v2/sessions/" + id
	want(t, 200, "GET", path, "", admin...)
	want(t, 403, "GET", path, "", boss...)
	want(t, 401, "GET", path, "")

	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.hangup <- syscall.SIGHUP
	}
	rewrite("issuers: [{issuer: x}]")
	if got := p.logged(t, "the issuers were not reloaded, the old ones stay", 1)["error"].(string); !strings.Contains(got, "audience: is missing") {
		t.Errorf("got %s", got)
	}
	want(t, 200, "GET", path, "", admin...)
	rewrite(issuersYAML(issuer, "boss"))
	if got := p.logged(t, "issuers reloaded", 1)["issuers"]; got != 1.0 {
		t.Errorf("got %v issuers", got)
	}
	want(t, 403, "POST", api+"/v2/sessions", "{}", admin...)
	want(t, 200, "GET", path, "", boss...)

	logout := issuer.Sign(map[string]any{
		"iss": issuer.URL, "aud": "gateway", "iat": now, "jti": "1", "sub": "u1",
		"events": map[string]any{oidctest.LogoutEvent: map[string]any{}},
	})
	form := url.Values{"logout_token": {logout}}.Encode()
	want(t, 200, "POST", api+"/backchannel-logout", form, "Content-Type", "application/x-www-form-urlencoded")
	want(t, 404, "GET", path, "", boss...)
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if log := p.stderr.String(); strings.Contains(log, "eyJ") {
		t.Errorf("I6: the log has a token:\n%s", log)
	}
}

// awaitCall sends a request until it is answered with status, not with 503.
func awaitCall(t *testing.T, status int, method, url, body string, header ...string) {
	t.Helper()
	eventually.Holds(t, fmt.Sprint(method, " ", url, ": ", status), func() bool {
		got, answer := call(t, method, url, body, header...)
		if got != status && got != 503 {
			t.Fatalf("%s %s: got %d %s, want %d", method, url, got, answer, status)
		}
		return got == status
	})
}

func TestIssuersFileIsRefused(t *testing.T) {
	for text, wanted := range map[string]string{
		"issuers: [{issuer: 'http://id.example', audience: [a], algorithms: [HS256]}]": "algorithms: line 1: may have only",
		"keys: []": "the file: line 1: a field is not known here",
		"":         "the file is empty",
	} {
		code, _, stderr := once(t, "serve", "--redis-url=memory:", "--auth-issuers-file", testfile.Write(t, text))
		if code != exitUsage || !strings.Contains(stderr, "--auth-issuers-file: ") || !strings.Contains(stderr, wanted) {
			t.Errorf("%q: exit code %d, %s", text, code, stderr)
		}
	}
	code, _, stderr := once(t, "serve", "--redis-url=memory:")
	if code != exitUsage || !strings.Contains(stderr, "--auth-issuers-file") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
