package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const app = "https://app.example"

// Pages of the configured origins may read every answer of the API, errors among
// them, and no others' may. Nothing else has to do with it: neither verify, nor
// other listeners.
func TestCORS(t *testing.T) {
	f := newFixture(t, withVerify, func(s *setup) {
		s.config.CORSOrigins = []string{app, "http://localhost:3000"}
		s.config.MaxBodyBytes, s.config.MaxHeaderBytes = 4<<10, 8<<10
	})
	_, token := f.login(aliceVerified)
	id, _, _ := strings.Cut(token, ".")
	f.server.Callers.SetKeys(limitedKeys(t, f, "    rate: 0.001\n    burst: 1\n"))
	f.want(http.StatusNotFound, "limited", "GET", "/v2/sessions/x", "")
	for _, c := range []struct {
		status             int
		as, method, path   string
		body, header, give string
	}{
		{200, "plain", "POST", "/v2/sessions/search", `{}`, "", ""},
		{200, "plain", "POST", "/zitadel.session.v2.SessionService/ListSessions", `{}`, "Content-Type", "application/json"},
		{200, "", "GET", "/version", "", "", ""},
		{200, token, "GET", "/v2/sessions/" + id, "", "", ""},
		{400, "plain", "POST", "/v2/sessions/search", `{`, "", ""},
		{401, "", "GET", "/v2/sessions/x", "", "", ""},
		{401, "wrong", "POST", "/v2/sessions/search", `{}`, "", ""},
		{404, "plain", "GET", "/v2/sessions/x", "", "", ""},
		{404, "plain", "GET", "/nothing", "", "", ""},
		{405, "plain", "PUT", "/version", "", "", ""},
		{405, "plain", "OPTIONS", "/version", "", "", ""}, // no preflight: it asks for no method
		{413, "plain", "POST", "/v2/sessions/search", strings.Repeat(" ", 5<<10), "", ""},
		{413, "plain", "POST", "/v2/sessions/search", strings.Repeat(" ", 5<<10), "Expect", "100-continue"},
		{417, "plain", "GET", "/v2/sessions/x", "", "Expect", "x"},
		{429, "limited", "GET", "/v2/sessions/x", "", "", ""},
	} {
		for origin, allowed := range map[string]bool{app: true, "http://localhost:3000": true, "https://evil.example": false, "https://app.example.evil.example": false, "null": false, "": false, "HTTPS://APP.EXAMPLE": false, app + "/": false} {
			r := f.want(c.status, c.as, c.method, c.path, c.body, "Origin", origin, "X-Request-Id", "r", cmp.Or(c.header, "Accept"), c.give)
			want := origin
			if !allowed {
				want = ""
			}
			if got := r.header.Get("Access-Control-Allow-Origin"); got != want || r.header.Get("Vary") != "Origin" {
				t.Errorf("%s %s, %d, from %q: Access-Control-Allow-Origin is %q, Vary %q", c.method, c.path, c.status, origin, got, r.header.Get("Vary"))
			}
			if exposed := r.header.Get("Access-Control-Expose-Headers"); strings.Contains(exposed, "Retry-After") != allowed || strings.Contains(exposed, "X-Request-Id") != allowed {
				t.Errorf("%s %s, from %q: exposes %q", c.method, c.path, origin, exposed)
			}
			if r.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are let in")
			}
		}
	}
	// What could not be read has no origin.
	r := f.want(http.StatusRequestHeaderFieldsTooLarge, "plain", "GET", "/v2/sessions/x", "", "Origin", app, "X-Long", strings.Repeat("x", 9<<10))
	if got := r.header.Get("Access-Control-Allow-Origin"); got != "*" || r.header.Get("Vary") != "Origin" {
		t.Errorf("431: Access-Control-Allow-Origin is %q", got)
	}
	f.redis.Stop()
	r = f.want(http.StatusServiceUnavailable, "plain", "GET", "/v2/sessions/y", "", "Origin", app)
	if got := r.header.Get("Access-Control-Allow-Origin"); got != app || r.header.Get("Retry-After") == "" {
		t.Errorf("503: %v", r.header)
	}

	r = f.do("", "GET", "/verify", "", "Origin", app)
	noCORS(t, "/verify", r.header)
	res, _ := rawExchange(t, f.verifyListener("tcp", "127.0.0.1:0"), preflightTo("/", app))
	noCORS(t, "the verify listener", res.Header)
}

// preflightTo asks whether a page may send what a client of the API sends.
func preflightTo(path, origin string) string {
	return fmt.Sprintf("OPTIONS %s HTTP/1.1\r\nHost: h\r\nOrigin: %s\r\nAccess-Control-Request-Method: PATCH\r\nAccess-Control-Request-Headers: authorization,connect-protocol-version,connect-timeout-ms,content-type,if-match\r\n\r\n", path, origin)
}

func noCORS(t *testing.T, where string, header http.Header) {
	t.Helper()
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			t.Errorf("%s: %s: %s", where, name, header.Get(name))
		}
	}
}

// A preflight needs no credentials, and is 204 wherever it asks; from another
// origin it is an OPTIONS as any.
func TestCORS_Preflight(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.config.CORSOrigins = []string{app} })
	for _, path := range []string{"/v2/sessions/search", "/v2/sessions/x", "/v2beta/sessions", "/zitadel.session.v2.SessionService/ListSessions"} {
		res, body := f.raw(preflightTo(path, app), false)
		h := res.Header
		if res.StatusCode != http.StatusNoContent || body != "" || res.Close || h.Get("Access-Control-Allow-Origin") != app || h.Get("Vary") != "Origin" || h.Get("Access-Control-Max-Age") != "600" {
			t.Errorf("%s: %d %v", path, res.StatusCode, h)
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if !strings.Contains(h.Get("Access-Control-Allow-Methods"), method) {
				t.Errorf("%s: %s is not allowed", path, method)
			}
		}
		for _, name := range []string{"Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "If-Match", "If-None-Match", "Session-Consistency", "X-Request-Id"} {
			if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s: %s is not allowed", path, name)
			}
		}
		res, _ = f.raw(preflightTo(path, "https://evil.example"), false)
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Access-Control-Allow-Methods") != "" || res.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
	}
	r := f.want(http.StatusRequestHeaderFieldsTooLarge, "admin", "GET", "/v2/sessions/x", "", "Origin", app, "X-Long", strings.Repeat("x", 64<<10))
	if got := r.header.Get("Access-Control-Allow-Origin"); got != app { // the only one
		t.Errorf("431: Access-Control-Allow-Origin is %q", got)
	}
}

// Without origins nothing is shared.
func TestCORS_Off(t *testing.T) {
	f := newFixture(t)
	noCORS(t, "GET", f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/x", "", "Origin", app).header)
	res, _ := f.raw(preflightTo("/v2/sessions/x", app), false)
	noCORS(t, "a preflight", res.Header)
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a preflight is %d", res.StatusCode)
	}
	noCORS(t, "431", f.want(http.StatusRequestHeaderFieldsTooLarge, "admin", "GET", "/v2/sessions/x", "", "Origin", app, "X-Long", strings.Repeat("x", 64<<10)).header)
}

func TestCheckOrigins(t *testing.T) {
	for _, good := range []string{app, "http://app.example", "https://app.example:8443", "http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000", "https://xn--bcher-kva.example"} {
		if err := CheckOrigins([]string{good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"*": "name each", "null": "anybody's", "": "https://HOST", "app.example": "https://HOST", app + "/": "slash at the end", app + "/x": "slash at the end", app + "?x": "slash", app + "#x": "slash",
		"https://a@app.example": "https://HOST", "ftp://app.example": "https://HOST", "https://": "https://HOST", "https://*.example": "lower-case", "https://App.example": "lower-case", "https://bücher.example": "lower-case",
		"https://app.example:443": "default port", "http://app.example:80": "default port", "https://app.example:": "lower-case", "https://app.example:99999": "65535", "https://app.example:080": "65535",
		"https://[::1%25eth0]": "https://HOST", "https://[0:0:0:0:0:0:0:1]": "lower-case", "https://a.example, https://b.example": "https://HOST", "https://" + strings.Repeat("a", 300): "300 bytes", "https://a.example\n": "https://HOST",
	} {
		if err := CheckOrigins([]string{bad}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", bad, err, want)
		}
	}
	if err := CheckOrigins([]string{app, app}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("got %v", err)
	}
	var many []string
	for i := range MaxOrigins + 1 {
		many = append(many, fmt.Sprintf("https://a%d.example", i))
	}
	if err := CheckOrigins(many); err == nil || !strings.Contains(err.Error(), "more than 32") {
		t.Errorf("got %v", err)
	}
	if err := CheckOrigins(many[1:]); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{CORSOrigins: []string{"*"}}); err == nil || !strings.Contains(err.Error(), "CORSOrigins") {
		t.Errorf("got %v", err)
	}
}
