package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/prometheus/client_golang/prometheus"
)

const largeHeader = 64<<10 + 1

// Headers that are larger than the limit are refused, and no login is asked for:
// it would help nobody. Verify says so wherever it is asked, the API in the form
// of its errors, and HEAD has no body.
func TestHeaderTooLarge(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, withVerify, func(s *setup) { s.config.Metrics = registry })
	_, token := f.login(aliceVerified)
	api, verify := f.addr, f.verifyListener("tcp", "127.0.0.1:0").String()
	large := " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\nCookie: a=" + strings.Repeat("x", largeHeader) + "\r\n\r\n"
	refusals := 0
	for _, c := range []struct {
		addr string
		path string
	}{{verify, "/"}, {verify, "/any?x"}, {api, "/verify"}, {api, "/verify/p/strict"}, {api, "/verify?x"}} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			answer := ask(t, c.addr, method+" "+c.path+large)
			head, body, _ := strings.Cut(answer, "\r\n\r\n")
			refusals++
			if !strings.HasPrefix(head, "HTTP/1.1 403 ") || !strings.Contains(head, "X-Auth-Reason: too_large\r\n") || strings.Contains(strings.ToLower(head), "www-authenticate") {
				t.Errorf("%s %s: %s", method, c.path, head)
			}
			if want := `"status":403,"detail":"the headers of the request are too large, or too many","reason":"too_large"}`; method == "HEAD" && body != "" || method != "HEAD" && !strings.HasSuffix(body, want) {
				t.Errorf("%s %s: the body is %q", method, c.path, body)
			}
		}
	}
	for _, path := range []string{"/v2/sessions/x", "/verifyx", "/"} {
		for _, method := range []string{"GET", "HEAD"} {
			head, body, _ := strings.Cut(ask(t, api, method+" "+path+large), "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 431 ") || !strings.Contains(head, "Content-Type: "+contentTypeJSON) || strings.Contains(head, "X-Auth-Reason") {
				t.Errorf("%s %s: %s", method, path, head)
			}
			if want := `{"code":8,"message":"request headers too large: at most 65536 bytes"}`; method == "HEAD" && body != "" || method != "HEAD" && body != want {
				t.Errorf("%s %s: the body is %q", method, path, body)
			}
		}
	}
	if n := observed.Counts(t, registry)["cloakroom_verify_total too_large"]; n != float64(refusals) {
		t.Errorf("%v are counted as too large, want %d", n, refusals)
	}
	if n := f.logs.Count("reason=too_large"); n != refusals {
		t.Errorf("%d lines of the log, want %d", n, refusals)
	}
	if strings.Contains(f.logs.String(), token) {
		t.Error("the log has the token")
	}
	// A malformed request is refused by verify in its own form, too.
	if answer := ask(t, api, "GET /verify HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 401 ") || !strings.Contains(answer, "X-Auth-Reason: malformed") {
		t.Errorf("got %s", answer)
	}
}

// The limit is the one that is configured.
func TestHeaderLimit(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.config.MaxHeaderBytes = 8 << 10 })
	r := f.want(http.StatusRequestHeaderFieldsTooLarge, "admin", "GET", "/v2/sessions/x", "", "X-Long", strings.Repeat("x", 8<<10))
	if !strings.Contains(r.body, "at most 8192 bytes") {
		t.Errorf("got %s", r.body)
	}
	for _, bad := range []int{-1, 1, 8<<10 - 1, 256<<10 + 1} {
		if _, err := New(Config{Store: f.store, MaxHeaderBytes: bad}); err == nil || !strings.Contains(err.Error(), "MaxHeaderBytes must") {
			t.Errorf("%d: %v", bad, err)
		}
	}
}

// manyLines is how many lines a large header may have.
const manyLines = 256

// A large header has at most so many lines, whatever came before it.
func TestHeaderLines(t *testing.T) {
	f := newFixture(t, withVerify)
	verify := f.verifyListener("tcp", "127.0.0.1:0").String()
	small := "GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
	for path, want := range map[string]string{"/verify": "403 ", "/v2/sessions/x": "431 "} {
		for name, before := range map[string]string{"alone": "", "pipelined": small, "twice": small + small} {
			large := func(lines int) string {
				return "GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + strings.Repeat("A:"+strings.Repeat("b", 20)+"\r\n", lines-3) + "\r\n"
			}
			if got := answers(t, f.addr, before+large(manyLines)); len(got) == 0 || got[len(got)-1] != http.StatusUnauthorized {
				t.Errorf("%s, %s: %d lines are %v", path, name, manyLines, got)
			}
			got := answers(t, f.addr, before+large(manyLines+1))
			if len(got) == 0 || fmt.Sprint(got[len(got)-1])+" " != want {
				t.Errorf("%s, %s: %d lines are %v, want %s", path, name, manyLines+1, got, want)
			}
		}
	}
	if got := ask(t, f.addr, "GET / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("a:\r\n", 15<<10)+"\r\n"); !strings.HasSuffix(got, `"request headers too large: at most 256 lines if they have more than 4096 bytes"}`) {
		t.Errorf("got %s", got)
	}
	if got := ask(t, verify, "GET / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("a:\r\n", 15<<10)+"\r\n"); !strings.Contains(got, "X-Auth-Reason: too_large\r\n") {
		t.Errorf("got %s", got)
	}
	// The lines of a body are its own.
	lines := strings.Repeat("\n", 20_000)
	if got := ask(t, f.addr, fmt.Sprintf("PUT /v2/sessions/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %s\r\nA: %s\r\nContent-Length: %d\r\n\r\n{}%s", f.secret["admin"], strings.Repeat("a", 5000), 2+len(lines), lines)); !strings.HasPrefix(got, "HTTP/1.1 201 ") {
		t.Errorf("got %s", got)
	}
}

// A refusal of a large header is in the form of its own request, whatever came
// before it. Where that is not known, it has no body.
func TestHeaderRefusalsForm(t *testing.T) {
	f := newFixture(t, withVerify)
	large := " HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", largeHeader) + "\r\n\r\n"
	version, verify := "GET /version HTTP/1.1\r\nHost: a\r\n\r\n", "GET /verify HTTP/1.1\r\nHost: a\r\n\r\n"
	const tooLarge, api = "403 Forbidden", "431 Request Header Fields Too Large"
	for _, c := range []struct {
		request, status string
		body            bool
	}{
		{version + "GET /verify" + large, tooLarge, true},
		{verify + "GET /v2/sessions" + large, api, true},
		{strings.Replace(version, "GET", "HEAD", 1) + "GET /version" + large, api, true},
		{version + "HEAD /verify" + large, tooLarge, false},
		{version + "\r\n\r\nHEAD /version" + large, api, false},
		{"\r\nHEAD /verify" + large, tooLarge, false},
		{strings.Repeat("\r\n", 13) + "GET /verify" + large, tooLarge, true},
		{strings.Repeat("\r\n", 5000) + "GET /verify" + large, tooLarge, true},
		{strings.Repeat("A", 40) + " /verify" + large, tooLarge, true},
		{strings.Repeat("A", 60) + " /verify" + large, api, false},         // not known
		{version + "GET /verify HTTP/9\r\n\r\n", "400 Bad Request", false}, // nor here
		{"GET /verify HTTP/9\r\n\r\n", "401 Unauthorized", true},
	} {
		got := ask(t, f.addr, c.request)
		last := got[strings.LastIndex(got, "HTTP/1.1 "):]
		head, body, _ := strings.Cut(last, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 "+c.status+"\r\n") || (body != "") != c.body || !strings.Contains(head, "Connection: close") || strings.Contains(head, "X-Auth-Reason: too_large") != (c.status == tooLarge) {
			t.Errorf("%.60q: got %q", c.request, last)
		}
	}
}

// ask sends a request over a connection of its own, and returns all that comes.
func ask(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, request)
	}()
	answer, err := io.ReadAll(conn) // it is not reset
	if err != nil {
		t.Errorf("%.40q: %v", request, err)
	}
	conn.Close()
	<-written
	return string(answer)
}
