package console

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/admin"
)

// securityHeaders are on every answer of the console.
var securityHeaders = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Frame-Options":              "DENY",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
}

func (r reply) secured(t *testing.T, what string) {
	t.Helper()
	for name, want := range securityHeaders {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %d has %s %q, want %q", what, r.status, name, got, want)
		}
	}
	if !strings.Contains(r.header.Get("Permissions-Policy"), "camera=()") {
		t.Errorf("%s: %d has no Permissions-Policy", what, r.status)
	}
}

// A page of another site can send a form, and text; it cannot set a header without a preflight, nor hide where it is from.
func TestGuard_RefusesWhatOtherPagesSend(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	id, _ := f.logIn("alice", "org-1")
	revoke := `{"queries":[{"idsQuery":{"ids":["` + id + `"]}}]}`
	host, _, _ := strings.Cut(f.addr, ":")
	for _, c := range []struct {
		name    string
		status  int
		headers []string
	}{
		{"no header", 403, []string{"X-Console", ""}},
		{"the header without the proof", 401, []string{"X-Console", "1"}},
		{"another origin", 403, []string{"Origin", "https://evil.example"}},
		{"an origin without a name", 403, []string{"Origin", "null"}},
		{"another port of the same host", 403, []string{"Origin", "http://" + host + ":1"}},
		{"another scheme", 403, []string{"Origin", "ftp://" + f.addr}},
		{"a port of the same host, as the browser calls it", 403, []string{"Sec-Fetch-Site", "same-site"}},
		{"another site, as the browser calls it", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"a user's click", 403, []string{"Sec-Fetch-Site", "none"}},
		{"a form", 415, []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"a form with files", 415, []string{"Content-Type", "multipart/form-data; boundary=x"}},
		{"text", 415, []string{"Content-Type", "text/plain"}},
		{"text that claims to be JSON", 415, []string{"Content-Type", "text/plain; application/json"}},
		{"no type", 415, []string{"Content-Type", ""}},
		{"a form without any header", 403, []string{"X-Console", "", "Sec-Fetch-Site", "", "Content-Type", "text/plain"}},
		{"a name that DNS points here", 403, []string{"Host", "rebound.example", "Origin", "http://rebound.example"}},
	} {
		r := b.do("POST", "revocations", revoke, c.headers...)
		if r.status != c.status || !strings.HasPrefix(r.body, `{"code":`) || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %s %v, want %d", c.name, r.status, r.body, r.header, c.status)
		}
		r.secured(t, c.name)
	}
	if r := b.want(200, "GET", "revocations", ""); r.body != `{"revocations":[]}` {
		t.Errorf("one of them began: %s", r.body)
	}
	for _, headers := range [][]string{{"Origin", ""}, {"Sec-Fetch-Site", ""}, {"Content-Type", "application/json; charset=utf-8"}, {"Origin", "https://" + f.addr}} {
		b.want(200, "POST", "search", `{}`, headers...)
	}
	// A preflight is not answered: nothing may be sent after it.
	r := f.send("OPTIONS", "/console/api/search", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-console")
	if r.status/100 == 2 || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight is answered: %d %v", r.status, r.header)
	}
}

// A colleague's link opens the page, from whatever site; nothing else may come from there, nor for another host.
func TestGuard_ALinkOpensThePage(t *testing.T) {
	f := newFixture(t)
	link := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	for _, c := range []struct {
		method, path string
		status       int
		headers      []string
	}{
		{"GET", "/console/", 200, nil},
		{"GET", "/console", 302, nil},
		{"GET", "/console/", 403, []string{"Sec-Fetch-Dest", "iframe"}},
		{"GET", "/console/", 403, []string{"Sec-Fetch-Mode", "no-cors"}},
		{"GET", "/console/", 403, []string{"Host", "rebound.example"}},
		{"POST", "/console/", 403, nil},
		{"GET", "/console/api/me", 403, nil},
		{"GET", "/readyz", 403, nil},
	} {
		if r := f.send(c.method, c.path, "", append(slices.Clone(link), c.headers...)...); r.status != c.status {
			t.Errorf("%s %s with %v: got %d %s, want %d", c.method, c.path, c.headers, r.status, r.body, c.status)
		}
	}
}

func TestGuard_BoundsBodiesAndMethods(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	for _, path := range []string{"search", "judge", "revocations", "sign-in"} {
		r := b.want(413, "POST", path, `{"x":"`+strings.Repeat("x", 64<<10)+`"}`)
		r.secured(t, path)
		b.want(405, "PUT", path, "{}").secured(t, path)
	}
	b.want(200, "POST", "search", `{`+strings.Repeat(" ", 64<<10-2)+`}`)
	if r := b.want(405, "PATCH", "revocations", ""); r.header.Get("Allow") != "POST, GET" {
		t.Errorf("Allow is %q", r.header.Get("Allow"))
	}
	for _, path := range []string{"", "nothing", "me/", "sessions/", "sessions/a/b", "Me"} {
		b.want(404, "GET", path, "").secured(t, path)
	}
	// A client that waits for leave gets it, and its body is read.
	b.want(400, "POST", "search", `{"query":{"limit":"many"}}`, "Expect", "100-continue")
}

// The rest of the admin listener is as it is without a console.
func TestGuard_OtherPathsReadNoBody(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/livez", "/readyz", "/consoles", "/"} {
		r := f.send("POST", path, strings.Repeat("x", 16<<20))
		if r.status != 405 || r.header.Get("Allow") != "GET, HEAD" || r.header.Get("Content-Security-Policy") != "" {
			t.Errorf("%s: got %d %v", path, r.status, r.header)
		}
	}
	// A body that never comes is not waited for.
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 405 ") {
		t.Errorf("got %s, %v", answer, err)
	}
}

// A proxy with TLS on the same machine asks by the name that browsers know. On a loopback listener that is refused, with what
// to do; on a unix socket it is served, also to a page that is told of no other name.
func TestGuard_AProxyOnThisMachineComesByAUnixSocket(t *testing.T) {
	f := newFixture(t)
	named := []string{"Host", "console.example", "Origin", "https://console.example"}
	for _, path := range []string{"/console/", "/console/api/me"} {
		if r := f.send("GET", path, "", named...); r.status != 403 || !strings.Contains(r.body, "--admin-addr=unix:PATH") {
			t.Errorf("%s: got %d %s", path, r.status, r.body)
		}
	}
	socket := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- admin.New(admin.Config{Console: f.console}).Run(ctx, ln, 10*time.Second) }()
	over := f.client
	f.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	b := f.browser()
	if r := f.send("GET", "/console/", "", "Host", "console.example"); r.status != 200 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	r := b.want(200, "POST", "sign-in", `{"key":"`+f.secret["admin"]+`","secure":true}`, named...)
	b.cookie, _, _ = strings.Cut(r.header.Get("Set-Cookie"), ";")
	b.proof = decoded[struct{ Proof string }](t, r).Proof
	b.want(200, "GET", "me", "", named...)
	b.want(403, "GET", "me", "", "Host", "console.example", "Origin", "https://evil.example")
	f.client.CloseIdleConnections()
	f.client = over
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAnonymous_NeedsALoopbackHostAndNoSignIn(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Anonymous = true })
	b := f.browser()
	me := decoded[map[string]any](t, b.want(200, "GET", "me", ""))
	if me["name"] != "anonymous" || me["anonymous"] != true || me["endsAt"] != nil {
		t.Errorf("got %v", me)
	}
	b.want(200, "POST", "search", `{}`)
	b.want(400, "POST", "sign-in", `{"key":"ck_x"}`)
	b.want(204, "POST", "sign-out", `{}`)
	b.want(403, "GET", "me", "", "Host", "console.example", "Origin", "http://console.example").secured(t, "another host")
	b.want(403, "POST", "search", `{}`, "Origin", "https://evil.example")
}

// Until there is a store the page is there, and says what /readyz does.
func TestConsole_BeforeTheStoreIsThere(t *testing.T) {
	f := newUnready(t, func(c *Config) {
		c.Ready = func(context.Context) error { return errors.New("waiting for redis: it is away") }
	})
	if r := f.send("GET", "/console/", ""); r.status != http.StatusOK || !strings.Contains(r.body, "<title>") {
		t.Errorf("got %d %s", r.status, r.body)
	}
	b := f.browser()
	for _, path := range []string{"me", "live", "revocations"} {
		r := b.want(503, "GET", path, "")
		if !strings.Contains(r.body, "waiting for redis: it is away") || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %s %v", path, r.body, r.header)
		}
		r.secured(t, path)
	}
	b.want(503, "POST", "sign-in", `{"key":"`+f.secret["admin"]+`"}`)
}

// Without Ready there is nothing to say but that.
func TestConsole_BeforeTheStoreIsThereWithoutReady(t *testing.T) {
	f := newUnready(t, func(c *Config) { c.Ready = nil })
	if r := f.browser().want(503, "GET", "me", ""); !strings.Contains(r.body, `"message":"cloakroom is not ready"`) {
		t.Errorf("got %s", r.body)
	}
}
