package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
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

// A credential that nobody has is a warning with the client's address, whatever
// the route. What has ended, or was never given, is none.
func TestStrangers_WhatIsRefusedCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withVerify)
	issuer := f.trust(issuersFile)
	const good, listing = `"user":{"id":"alice"},"password":{}`, "/v2/sessions/search"
	id, token := f.login(good)
	revokedID, revoked := f.login(good)
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+revokedID, "")
	_, expired := f.login(good, `,"lifetime":"60s"`)
	_, unproven := f.login(`"user":{"id":"alice"}`)
	f.advance(61_000_000_000)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
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
		{true, token + "x", "POST", listing, "{}", nil, 401, "ListSessions", "code=16"},
		{true, oidctest.NewKey(t, "RS256").Sign(t, f.claims(issuer, nil)), "POST", listing, "{}", nil, 401, "ListSessions", "code=16"},
		{true, "", "POST", listing, "{}", []string{"Authorization", "Basic YTpi"}, 401, "ListSessions", "code=16"},
		{true, "", "POST", logoutPath, "logout_token=x", form, 400, "BackchannelLogout", "code=3"},
		{true, "unknown", "GET", "/verify", "", nil, 401, "Verify", "reason=not_found"},
		{true, token[:len(token)-1] + "_", "GET", "/verify", "", nil, 401, "Verify", "reason=wrong_token"},
		{true, "", "GET", "/verify", "", []string{"Cookie", "session=unknown"}, 401, "Verify", "reason=not_found"},
		{false, "", "POST", listing, "{}", nil, 401, "", ""},
		{false, revoked, "POST", listing, "{}", nil, 401, "", ""},
		{false, expired, "POST", listing, "{}", nil, 401, "", ""},
		{false, unproven, "POST", listing, "{}", nil, 401, "", ""},
		{false, issuer.Sign(f.claims(issuer, map[string]any{"exp": f.now().Std().Unix() - 60})), "POST", listing, "{}", nil, 401, "", ""},
		{false, "", "POST", logoutPath, "logout_token=" + f.logoutToken(issuer, map[string]any{"exp": f.now().Std().Unix() - 600}), form, 400, "", ""},
		{false, token, "GET", "/v2/sessions/none", "", nil, 404, "", ""},
		{false, "nobody", "DELETE", "/v2/sessions/" + id, "", nil, 403, "", ""}, // we know whose key it is
		{false, "", "GET", "/verify", "", nil, 401, "", ""},
		{false, "a b", "GET", "/verify", "", nil, 401, "", ""},
		{false, revoked, "GET", "/verify", "", nil, 401, "", ""},
		{false, expired, "GET", "/verify", "", nil, 401, "", ""},
		{false, unproven, "GET", "/verify", "", nil, 401, "", ""},
		{false, token, "GET", "/verify/p/strict", "", nil, 403, "", ""},
	} {
		from := fmt.Sprintf("2001:db8:0:%x::7", i+1)
		requestID := fmt.Sprintf("stranger-%d", i)
		f.want(c.status, c.as, c.method, c.path, c.body, append(c.headers, "X-Forwarded-For", "198.51.100.1, "+from, "X-Request-Id", requestID)...)
		want := fmt.Sprintf("level=WARN msg=%q client=%s client_net=2001:db8:0:%x::/64 request_id=%s call=%s status=%d %s", credentialRefused, from, i+1, requestID, c.call, c.status, c.codeOrReason)
		lines := f.lines(credentialRefused)
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

// A client that no trusted proxy names is none: the line has the proxy.
func TestStrangers_ProxyThatNamesNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, forwarded := range []string{"", "198.51.100.1, unknown", "127.0.0.1"} {
		f.want(http.StatusUnauthorized, "ck_unknown", "GET", "/v2/sessions/s", "", "X-Forwarded-For", forwarded)
	}
	if lines := f.lines(`msg="` + credentialRefused + `" proxy=127.0.0.1 request_id=`); len(lines) != 3 || len(f.lines("client=")) != 0 {
		t.Errorf("the log is\n%s", f.logs)
	}
	if nobody, err := ParseTrustedProxies(""); err != nil {
		t.Fatal(err)
	} else {
		f.server.config.TrustedProxies = nobody
	}
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
