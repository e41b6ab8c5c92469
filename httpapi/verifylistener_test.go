package httpapi

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
)

// The default policy holds whatever the path says: it may be a client's.
func TestVerify_DefaultPolicyHoldsBesides(t *testing.T) {
	f := newFixture(t, withVerify, func(s *setup) { s.config.Verify.Default = "strict" })
	_, weak := f.login(aliceVerified)
	_, strong := f.login(aliceVerified + `,"webAuthN":{}`)
	for _, path := range []string{"/verify", "/verify/", "/verify/p/lax", "/verify/p/strict", "/verify/p/strict/../lax", "/verify/p/lax?x", "/verify/x/p/lax"} {
		if res, _ := f.raw("GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer "+weak+"\r\n\r\n", false); res.StatusCode != 403 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		if res, _ := f.raw("GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer "+strong+"\r\n\r\n", false); res.StatusCode != 200 {
			t.Errorf("%s: %d with all factors", path, res.StatusCode)
		}
	}
	if _, err := New(Config{Store: f.store, Verify: verify.Config{Default: "none"}}); err == nil {
		t.Error("a default policy that there is not is accepted")
	}
}

// A client's path cannot leave the policy that its gateway has put before it.
func TestVerify_PathCannotEscapeItsPolicy(t *testing.T) {
	f := newFixture(t, withVerify)
	_, token := f.login(aliceVerified) // lax, not strict
	for _, path := range []string{
		"/../lax", "/%2e%2e/lax", "/..%2flax", "/./../lax", "//../../p/lax", "/?/verify/p/lax", "/x#/verify/p/lax", "\\..\\lax", ";/../lax",
	} {
		res, _ := f.raw("GET /verify/p/strict"+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer "+token+"\r\n\r\n", false)
		if res.StatusCode != 403 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

// On its own listener every method and path is verify, with the default policy,
// and bodies are not waited for.
func TestVerify_Listener(t *testing.T) {
	f := newFixture(t, withVerify, func(s *setup) { s.config.Verify.Default = "lax" })
	_, token := f.login(aliceVerified)
	_, noPassword := f.login(aliceFactor + `,"totp":{}`)
	unix := filepath.Join(t.TempDir(), "v")
	for _, addr := range []net.Addr{f.verifyListener("tcp", "127.0.0.1:0"), f.verifyListener("unix", unix)} {
		auth := "Authorization: Bearer " + token + "\r\n"
		ask := func(status int, closes bool, request string) *http.Response {
			t.Helper()
			res, body := rawExchange(t, addr, request)
			if res.StatusCode != status || res.Close != closes {
				t.Errorf("%.60q: got %d, closed: %v; want %d, %v: %s", request, res.StatusCode, res.Close, status, closes, body)
			}
			return res
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"} {
			for _, target := range []string{"/", "/a%2Fb//c?x=%zz", "/verify/p/strict", "/v2/sessions", "*", "//evil/x", "http://other/verify/p/strict", "/%zz"} {
				res := ask(200, false, method+" "+target+" HTTP/1.1\r\nHost: a\r\n"+auth+"\r\n")
				if res.Header.Get("X-Session-User") != "alice" {
					t.Errorf("%s: no identity", method)
				}
			}
			ask(401, false, method+" / HTTP/1.1\r\nHost: a\r\n\r\n")
			ask(403, false, method+" /verify/p/recent HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+noPassword+"\r\n\r\n")
			// A body that is announced, and never comes, comes whole, comes in chunks, or waits for leave.
			ask(200, true, method+" / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n"+auth+"\r\n")
			ask(200, true, method+" / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n"+auth+"\r\n"+strings.Repeat("x", 1<<20))
			ask(200, true, method+" / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"+auth+"\r\n5\r\nhello\r\n")
			ask(200, true, method+" / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n"+auth+"\r\n")
			ask(401, true, method+" / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
		}
		ask(200, false, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n"+auth+"\r\n")
		ask(200, true, "GET / HTTP/1.0\r\n"+auth+"\r\n")
		ask(200, false, "GET / HTTP/1.1\r\nHost: a\r\nCookie: a="+strings.Repeat("x", 8<<10)+"\r\n"+auth+"\r\n")
		ask(200, false, "GET / HTTP/1.1\r\nHost: a\r\nCookie: a="+strings.Repeat("x; b=", 12<<10)+"; session="+token+"\r\n\r\n")
		ask(200, false, "GET /"+strings.Repeat("x", 60<<10)+" HTTP/1.1\r\nHost: a\r\n"+auth+"\r\n")
		for _, faulty := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n" + auth + "\r\n", "hello\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n" + auth + "\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + auth + "\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n" + auth + "\r\n",
			"GET / HTTP/1.1\r\nHost: a b\r\n" + auth + "\r\n",
		} {
			res, body := rawExchange(t, addr, faulty)
			if res.StatusCode != 401 || !res.Close || !strings.Contains(body, `"reason":"malformed"`) {
				t.Errorf("%.60q: %d %s", faulty, res.StatusCode, body)
			}
		}
	}
}

// So is verify on the API's listener, for requests whose path can be told.
func TestVerify_BodyIsNotReadOnTheAPIListener(t *testing.T) {
	f := newFixture(t, withVerify)
	_, token := f.login(aliceVerified)
	for _, length := range []string{"Content-Length: 1048576", "Transfer-Encoding: chunked", "Content-Length: 5\r\nExpect: 100-continue"} {
		res, _ := f.raw("POST /verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+token+"\r\n"+length+"\r\n\r\n", false)
		if res.StatusCode != 200 || !res.Close {
			t.Errorf("%s: %d, closed: %v", length, res.StatusCode, res.Close)
		}
		res, _ = f.raw("PUT /verify/x HTTP/1.1\r\nHost: a\r\n"+length+"\r\n\r\n", false)
		if res.StatusCode != 401 || !res.Close {
			t.Errorf("%s: %d, closed: %v", length, res.StatusCode, res.Close)
		}
	}
	// Smuggling: what would be a body is never taken for a request.
	res, rest := f.raw("POST /verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 60\r\n\r\nGET /verify HTTP/1.1\r\nHost: a\r\n\r\n", false)
	if res.StatusCode != 200 || !res.Close || strings.Contains(rest, "HTTP/1.1") {
		t.Errorf("%d, closed: %v, %s", res.StatusCode, res.Close, rest)
	}
}

// Two credentials of one kind are never believed, in whatever order they stand.
func TestVerify_DuplicateCredentials(t *testing.T) {
	f := newFixture(t, withVerify)
	_, token := f.login(aliceVerified)
	addr := f.verifyListener("tcp", "127.0.0.1:0")
	for _, headers := range []string{
		"Authorization: Bearer " + token + "\r\nAuthorization: Bearer x\r\n",
		"Authorization: Bearer x\r\nAuthorization: Bearer " + token + "\r\n",
		"Authorization: Basic x\r\nAuthorization: Bearer " + token + "\r\n",
		"authorization: Bearer " + token + "\r\nAUTHORIZATION: Bearer " + token + "\r\n",
		"X-Session-Token: " + token + "\r\nX-Session-Token: " + token + "\r\n",
		"Cookie: session=" + token + "\r\nCookie: session=x\r\n",
		"Cookie: session=x; session=" + token + "\r\n",
	} {
		res, body := rawExchange(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+headers+"\r\n")
		if res.StatusCode != 401 || res.Header.Get("X-Auth-Reason") != "malformed" {
			t.Errorf("%q: %d %s", headers, res.StatusCode, body)
		}
	}
	if res, _ := rawExchange(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nCookie: session="+token+"\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("two Cookie headers: %d", res.StatusCode)
	}
}
