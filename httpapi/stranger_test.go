package httpapi

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// lines are those of the log with this text.
func (f *fixture) lines(text string) (lines []string) {
	for line := range strings.Lines(f.logs.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// A credential that may have been guessed is a warning with the client's address,
// whatever the route. What has ended, or may have, or was never given, is none.
func TestStrangers_WhatIsRefusedCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withVerify, withEvents(takeAll))
	issuer := f.trust(issuersFile)
	const good, listing = `"user":{"id":"alice"},"password":{}`, "/v2/sessions/search"
	id, token := f.login(good)
	revokedID, revoked := f.login(good)
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+revokedID, "")
	_, expired := f.login(good, `,"lifetime":"60s"`)
	_, unproven := f.login(`"user":{"id":"alice"}`)
	f.advance(61_000_000_000)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	unknown, _ := session.NewToken("1882822477288183595") // as of a session that was revoked two days ago
	jwe := strings.Repeat("a", 256) + ".b.c.d.e"          // as ZITADEL makes session tokens
	past := map[string]any{"exp": f.now().Std().Unix() - 86_400}
	asked := f.claims(issuer, nil)
	asked["iss"] = "https://elsewhere.example" // so the issuer is asked about it
	forged, wrong := oidctest.NewKey(t, "RS256"), token[:len(token)-1]+"_"
	tampered := issuer.Sign(f.claims(issuer, nil))
	tampered = tampered[:strings.LastIndexByte(tampered, '.')+1] + strings.Repeat("A", 342)
	apiKey, _ := caller.NewAPIKeySecret()
	for i, c := range []struct {
		guessed            bool
		as, method, path   string
		body               string
		headers            []string
		status             int
		call, codeOrReason string
	}{
		{true, "ck_unknown", "GET", "/v2/sessions/" + id, "", nil, 401, "GetSession", "code=16"},
		{true, "ck_unknown", "POST", listing, "{}", nil, 401, "ListSessions", "code=16"},
		{true, "ck_unknown", "DELETE", "/v2/sessions/" + id, "", nil, 401, "DeleteSession", "code=16"},
		{true, apiKey, "POST", listing, "{}", nil, 401, "ListSessions", "code=16"},
		{true, "0123456789012345678.a", "POST", listing, "{}", nil, 401, "ListSessions", "code=16"},
		{false, wrong, "POST", listing, "{}", nil, 401, "", ""},
		{false, wrong, "DELETE", "/v2/sessions/" + id, "", nil, 401, "", ""},
		{true, tampered, "POST", listing, "{}", nil, 401, "ListSessions", "code=16"},
		{false, forged.Sign(t, f.claims(issuer, nil)), "POST", listing, "{}", nil, 401, "", ""}, // or of a key that was withdrawn
		{false, issuer.Sign(f.claims(issuer, map[string]any{"aud": "another"})), "POST", listing, "{}", nil, 401, "", ""},
		{true, "", "POST", listing, "{}", []string{"Authorization", "Basic YTpi"}, 401, "ListSessions", "code=16"},
		{true, "", "POST", logoutPath, "logout_token=x", form, 400, "BackchannelLogout", "code=3"},
		{true, "", "POST", webhook.Path, "{}", f.signed("{} ", 0), 401, "ZITADELEvent", "code=16"},
		{true, "unknown", "GET", "/verify", "", nil, 401, "Verify", "reason=not_found"},
		{true, apiKey, "GET", "/verify", "", nil, 401, "Verify", "reason=not_found"},
		{false, wrong, "GET", "/verify", "", nil, 401, "", ""}, // the one before, most often
		{true, "", "GET", "/verify", "", []string{"Cookie", "session=unknown"}, 401, "Verify", "reason=not_found"},
		{false, "", "POST", listing, "{}", nil, 401, "", ""},
		{false, revoked, "POST", listing, "{}", nil, 401, "", ""},
		{false, expired, "POST", listing, "{}", nil, 401, "", ""},
		{false, expired, "DELETE", "/v2/sessions/" + id, "", nil, 401, "", ""},
		{false, unproven, "POST", listing, "{}", nil, 401, "", ""},
		{false, unknown, "POST", listing, "{}", nil, 401, "", ""},
		{false, unknown, "DELETE", "/v2/sessions/" + id, "", nil, 401, "", ""},
		{false, "ck_" + unknown, "POST", listing, "{}", nil, 401, "", ""}, // an ID may begin so
		{false, jwe, "POST", listing, "{}", nil, 401, "", ""},
		{false, jwe, "DELETE", "/v2/sessions/" + id, "", nil, 401, "", ""},
		{false, "undefined", "POST", listing, "{}", nil, 401, "", ""}, // as a web page without a token says
		{false, "", "POST", listing, "{}", []string{"Authorization", "Bearer "}, 401, "", ""},
		{false, forged.Sign(t, f.claims(issuer, past)), "POST", listing, "{}", nil, 401, "", ""}, // its key was rotated
		{false, issuer.Sign(asked), "POST", listing, "{}", nil, 401, "", ""},
		{false, issuer.Sign(asked), "DELETE", "/v2/sessions/" + id, "", nil, 401, "", ""},
		{false, issuer.Sign(f.claims(issuer, map[string]any{"exp": f.now().Std().Unix() - 60})), "POST", listing, "{}", nil, 401, "", ""},
		{false, "", "POST", logoutPath, "logout_token=" + f.logoutToken(issuer, map[string]any{"exp": f.now().Std().Unix() - 600}), form, 400, "", ""},
		{false, "", "POST", logoutPath, "logout_token=" + f.logoutToken(issuer, map[string]any{"iat": f.now().Std().Unix() - 6000}), form, 400, "", ""},
		{false, "", "POST", webhook.Path, "{}", f.signed("{}", -time.Hour), 401, "", ""}, // or a clock is wrong
		{false, "", "POST", webhook.Path, "{}", nil, 401, "", ""},
		{false, token, "GET", "/v2/sessions/none", "", nil, 404, "", ""},
		{false, "nobody", "DELETE", "/v2/sessions/" + id, "", nil, 403, "", ""}, // we know whose key it is
		{false, "", "GET", "/verify", "", nil, 401, "", ""},
		{false, "a b", "GET", "/verify", "", nil, 401, "", ""},
		{false, revoked, "GET", "/verify", "", nil, 401, "", ""},
		{false, unknown, "GET", "/verify", "", nil, 401, "", ""},
		{false, jwe, "GET", "/verify", "", nil, 401, "", ""},
		{false, "undefined", "GET", "/verify", "", nil, 401, "", ""},
		{false, "null", "GET", "/verify", "", nil, 401, "", ""},
		{false, issuer.Sign(f.claims(issuer, nil)), "GET", "/verify", "", nil, 401, "", ""}, // no token of ours
		{false, expired, "GET", "/verify", "", nil, 401, "", ""},
		{false, unproven, "GET", "/verify", "", nil, 401, "", ""},
		{false, token, "GET", "/verify/p/strict", "", nil, 403, "", ""},
	} {
		from := fmt.Sprintf("2001:db8:0:%x::7", i+1)
		requestID := fmt.Sprintf("stranger-%d", i)
		f.want(c.status, c.as, c.method, c.path, c.body, append(c.headers, "X-Forwarded-For", "198.51.100.1, "+from, "X-Request-Id", requestID)...)
		want := fmt.Sprintf("level=WARN msg=%q client=%s client_net=2001:db8:0:%x::/64 request_id=%s call=%s status=%d %s", caller.CredentialRefused, from, i+1, requestID, c.call, c.status, c.codeOrReason)
		lines := f.lines(caller.CredentialRefused)
		switch got := len(lines); {
		case !c.guessed && strings.Contains(strings.Join(lines, ""), requestID):
			t.Errorf("%+v: is taken for a guess", c)
		case c.guessed && (got == 0 || !strings.Contains(lines[got-1], want)):
			t.Errorf("%+v: the log has %q, want %q", c, lines, want)
		}
	}
	for _, secret := range []string{"ck_unknown", "YTpi", "unknown ", strings.SplitAfter(token, ".")[1], f.secret["nobody"]} {
		if strings.Contains(f.logs.String(), secret) {
			t.Errorf("I6: the log has %q", secret)
		}
	}
}

// Redis ends sessions itself, and then nobody knows that there were any. Users
// whose sessions have ended do not look like somebody who guesses.
func TestStrangers_WhatRedisHasForgottenIsNoGuess(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withVerify, func(s *setup) { s.store.Clock = nil }) // Redis' own clock
	_, ours := f.login(`"user":{"id":"alice"},"password":{}`, `,"lifetime":"1s"`)
	foreign := strings.Repeat("a", 256) + ".b.c.d.e"
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/mirrored", fmt.Sprintf(`{"factors":{"user":{"id":"alice"},"password":{}},"tokenSha256":"%x","expirationDate":%q}`,
		sha256.Sum256([]byte(foreign)), time.Now().Add(3*time.Second).Format(time.RFC3339Nano)))
	for _, token := range []string{ours, foreign} {
		eventually.Holds(t, "the end of a session", func() bool {
			if _, err := f.store.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			return f.do(token, "GET", "/verify", "").header.Get("X-Auth-Reason") == "not_found"
		})
		f.want(http.StatusUnauthorized, token, "POST", "/v2/sessions/search", "{}")
		f.want(http.StatusUnauthorized, token, "DELETE", "/v2/sessions/mirrored", "")
	}
	if lines := f.lines(caller.CredentialRefused); len(lines) != 0 {
		t.Errorf("the log has %q", lines)
	}
	if lines := f.lines(`msg="verify: refused" reason=not_found`); len(lines) == 0 {
		t.Error("at the level debug nothing is said, or an ID that was not given")
	}
}

// A client that no trusted proxy names is none: the line has the proxy.
func TestStrangers_ProxyThatNamesNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, forwarded := range []string{"", "198.51.100.1, unknown", "127.0.0.1"} {
		f.want(http.StatusUnauthorized, "ck_unknown", "GET", "/v2/sessions/s", "", "X-Forwarded-For", forwarded)
	}
	if lines := f.lines(`msg="` + caller.CredentialRefused + `" proxy=127.0.0.1 request_id=`); len(lines) != 3 || len(f.lines("client=")) != 0 {
		t.Errorf("the log is\n%s", f.logs)
	}
	nobody, err := caller.ParseTrustedProxies("")
	if err != nil {
		t.Fatal(err)
	}
	f = newFixture(t, func(s *setup) { s.config.TrustedProxies = nobody })
	f.want(http.StatusUnauthorized, "ck_unknown", "GET", "/v2/sessions/s", "", "X-Forwarded-For", "198.51.100.1")
	if len(f.lines(`client=127.0.0.1 client_net=127.0.0.1/32`)) != 1 {
		t.Errorf("the log is\n%s", f.logs)
	}
}

// While the store is away, what strangers cause is no audit line: those are never left out.
func TestStrangers_StoreAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	f.want(http.StatusServiceUnavailable, "unknown", "DELETE", "/v2/sessions/s", "")
	if lines := f.lines(`level=ERROR msg="request failed"`); len(lines) != 1 || len(f.lines(AuditKey+"=true")) != 0 {
		t.Errorf("the log is\n%s", f.logs)
	}
}
