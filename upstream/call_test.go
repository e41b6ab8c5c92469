package upstream_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// answered answers 200 with a text.
func answered(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

func TestCall_SaysWhatTravels(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Grpcgateway-Content-Type": "application/grpc", "Www-Authenticate": "auth header missing", "X-Zitadel-Something": "1",
			"Set-Cookie": "a=b", "Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=5", "Alt-Svc": "h3", "Strict-Transport-Security": "max-age=1",
			"Access-Control-Allow-Origin": "*", "Server": "nginx", "Proxy-Authenticate": "Basic", "Vary": "Origin", "Cache-Control": "no-store", "Location": "/x",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `{"code": 3,  "message":"no"}`)
	})
	c := ask(t, s.URL, func(c *upstream.Config) { c.Host = "id.example.com:8443" })
	q := write()
	q.Header = http.Header{}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "accept": "application/json", "Accept-Language": "de", "traceparent": "00-1", "Tracestate": "a=1", "x-zitadel-orgid": "1",
		"Connect-Protocol-Version": "1", "Connect-Timeout-Ms": "100", "X-Zitadel-Hop": "1", "Connection": "close, x-zitadel-hop",
		"Cookie": "a=b", "Authorization": "Bearer other", "Origin": "https://a.example", "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "Host": "h",
		"Idempotency-Key": "1", "X-Idempotency-Key": "1", "Transfer-Encoding": "chunked", "Te": "trailers", "Upgrade": "h2c", "Proxy-Authorization": "Basic x",
		"X-Zitadel-Instance-Host": "other.example", "X-Zitadel-Forward-Host": "other.example", "User-Agent": "curl", "Accept-Encoding": "gzip", "Expect": "100-continue", "X-Other": "1",
	} {
		q.Header[name] = []string{value}
	}
	a, err := c.Call(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != 400 || string(a.Body) != `{"code": 3,  "message":"no"}` {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	want := http.Header{
		"Content-Type": {"application/json"}, "Grpcgateway-Content-Type": {"application/grpc"}, "Www-Authenticate": {"auth header missing"}, "X-Zitadel-Something": {"1"},
		"Vary": {"Origin"}, "Cache-Control": {"no-store"}, "Location": {"/x"},
	}
	if fmt.Sprint(a.Header) != fmt.Sprint(want) {
		t.Errorf("the answer has %v\nwant %v", a.Header, want)
	}
	r := s.requests("")[0]
	wanted := http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json"}, "Accept-Language": {"de"}, "Traceparent": {"00-1"}, "Tracestate": {"a=1"}, "X-Zitadel-Orgid": {"1"},
		"Connect-Protocol-Version": {"1"}, "Connect-Timeout-Ms": {"100"}, "Authorization": {callers}, "User-Agent": {"cloakroom"}, "Content-Length": {"25"},
	}
	if fmt.Sprint(r.header) != fmt.Sprint(wanted) {
		t.Errorf("the request has %v\nwant %v", r.header, wanted)
	}
	if r.host != "id.example.com:8443" || r.method != "PATCH" || r.path != "/v2/sessions/1" || r.body != string(write().Body) {
		t.Errorf("got %+v", r)
	}
}

func TestCall_PathsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	s := serve(t, answered("{}"))
	c := ask(t, s.URL+"/a%2Fb/")
	for path, want := range map[string]string{
		"/v2/sessions/1?sessionToken=a%2Bb&x=1": "/a%2Fb/v2/sessions/1?sessionToken=a%2Bb&x=1",
		"/v2/sessions/a%2Fb":                    "/a%2Fb/v2/sessions/a%2Fb",
		"/v2//sessions/search":                  "/a%2Fb/v2//sessions/search",
		"//other.example/x":                     "/a%2Fb//other.example/x",
		"/v2/sessions/...":                      "/a%2Fb/v2/sessions/...",
	} {
		if _, err := c.Call(t.Context(), upstream.Request{Name: "get", Method: "GET", Path: path}); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		all := s.requests("")
		if got := all[len(all)-1].path; got != want {
			t.Errorf("%s became %s, want %s", path, got, want)
		}
	}
	before := len(s.requests(""))
	for _, path := range []string{"", "v2/sessions", "*", "/../admin", "/v2/../x", "/v2/%2e%2E/x", "/v2/.", "https://other.example/", "/a b", "/a\r\nX: y", "/ä", "/%zz"} {
		_, err := c.Call(t.Context(), upstream.Request{Name: "get", Method: "GET", Path: path})
		if err == nil || errors.Is(err, upstream.ErrUnavailable) || upstream.MayHaveHappened(err) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := c.Call(t.Context(), upstream.Request{Name: "get", Method: "G T", Path: "/"}); err == nil || upstream.MayHaveHappened(err) {
		t.Errorf("a method that is none: %v", err)
	}
	if n := len(s.requests("")) - before; n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestCall_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	other := serve(t, answered("{}"))
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/x", code) })
		a, err := ask(t, s.URL).Call(t.Context(), write())
		if err != nil || a.Status != code || a.Header.Get("Location") != other.URL+"/x" {
			t.Errorf("%d: %+v, %v", code, a, err)
		}
	}
	if len(other.requests("")) > 0 {
		t.Error("a redirect was followed")
	}
}

// lost checks an error of a write that may have happened, and that it was sent once.
func lost(t *testing.T, s *server, err error, reason string) {
	t.Helper()
	if !errors.Is(err, upstream.ErrUnavailable) || !upstream.MayHaveHappened(err) || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), "may have been carried out") {
		t.Errorf("got %v, want %q", err, reason)
	}
	if n := len(s.requests("/v2/sessions/1")); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
}

// overBoth runs a test with HTTP/1.1 and with HTTP/2.
func overBoth(t *testing.T, answer func() http.HandlerFunc, test func(t *testing.T, s *server, c *watched), change ...func(*upstream.Config)) {
	t.Helper()
	t.Run("HTTP1", func(t *testing.T) {
		t.Parallel()
		s := serve(t, answer())
		test(t, s, ask(t, s.URL, change...))
	})
	t.Run("HTTP2", func(t *testing.T) {
		t.Parallel()
		a := tlstest.NewAuthority(t)
		s := serveTLS(t, a, answer())
		test(t, s, ask(t, s.URL, append(change, trusts(a))...))
		for _, r := range s.requests("") {
			if r.major != 2 {
				t.Errorf("it was asked by HTTP/%d", r.major)
			}
		}
	})
}

func trusts(a *tlstest.Authority) func(*upstream.Config) {
	return func(c *upstream.Config) { c.RootCAs = roots(a) }
}

func roots(a *tlstest.Authority) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM)
	return pool
}

// Also on a connection that was used before, on which net/http would repeat what may be repeated.
func TestCall_AWriteWhoseConnectionCrashes_MayHaveHappened(t *testing.T) {
	t.Parallel()
	overBoth(t, func() http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				_, _ = io.WriteString(w, "ok")
				return
			}
			crash(w, r)
		}
	}, func(t *testing.T, s *server, c *watched) {
		if _, err := c.Clock(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := c.Call(t.Context(), write())
		lost(t, s, err, "")
	})
}

func TestCall_ARead_IsSentAgainWhereItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	var reads atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == getPath && reads.Add(1) == 1 {
			crash(w, r)
		}
		recorded(t, "connect v2 get").answer(w)
	})
	c := ask(t, s.URL)
	if _, err := c.Clock(t.Context()); err != nil { // so that there is a connection, which may be stale
		t.Fatal(err)
	}
	got, err := c.GetSession(t.Context(), "401643068324842534", "", upstream.AsOurs())
	if err != nil || got.Outcome != upstream.Found || reads.Load() != 2 {
		t.Errorf("%+v, %v after %d", got, err, reads.Load())
	}
}

func TestCall_ACutBody_IsNoAnswer(t *testing.T) {
	t.Parallel()
	overBoth(t, func() http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"sessionToken":"`)
			_ = http.NewResponseController(w).Flush()
			crash(w, r)
		}
	}, func(t *testing.T, s *server, c *watched) {
		_, err := c.Call(t.Context(), write())
		lost(t, s, err, "")
	})
}

func TestCall_ALargeBody_IsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	for _, chunked := range []bool{false, true} {
		overBoth(t, func() http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				if !chunked {
					w.Header().Set("Content-Length", "1001")
				}
				for range 1001 {
					if _, err := w.Write([]byte("x")); err != nil {
						return
					}
				}
			}
		}, func(t *testing.T, s *server, c *watched) {
			_, err := c.Call(t.Context(), write())
			lost(t, s, err, "its answer has more than 1000 bytes")
		}, func(c *upstream.Config) { c.AnswerBytes = 1000 })
	}
	s := serve(t, answered(strings.Repeat("x", 1000)))
	if a, err := ask(t, s.URL, func(c *upstream.Config) { c.AnswerBytes = 1000 }).Call(t.Context(), write()); err != nil || len(a.Body) != 1000 {
		t.Errorf("exactly as many: %v", err)
	}
}

func TestCall_ASlowAnswer_MayHaveHappened(t *testing.T) {
	t.Parallel()
	for _, begins := range []bool{false, true} {
		overBoth(t, func() http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if begins || r.Method == "GET" {
					w.WriteHeader(200)
					_ = http.NewResponseController(w).Flush()
				}
				if r.Method != "GET" {
					<-r.Context().Done()
				}
			}
		}, func(t *testing.T, s *server, c *watched) {
			eventually.Holds(t, "a connection", func() bool { _, err := c.Clock(t.Context()); return err == nil })
			_, err := c.Call(t.Context(), write())
			lost(t, s, err, "it did not answer within 1s")
			if errors.Is(err, context.DeadlineExceeded) {
				t.Error("it was not the caller whose time was over")
			}
		}, func(c *upstream.Config) { c.Timeout = time.Second })
	}
}

func TestCall_ACallerThatLeaves_GetsItsOwnError(t *testing.T) {
	t.Parallel()
	overBoth(t, func() http.HandlerFunc { return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() } }, func(t *testing.T, s *server, c *watched) {
		leaving, leave := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := c.Call(leaving, write())
			ended <- err
		}()
		eventually.Holds(t, "the call", func() bool { return len(s.requests("")) == 1 })
		leave()
		err := <-ended
		lost(t, s, err, "its answer was not waited for")
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if c.count(t, "cloakroom_upstream_calls_total set gone") != 1 {
			t.Error("it is not counted")
		}
	})
	c := ask(t, "http://127.0.0.1:1")
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := c.Call(gone, write()); !errors.Is(err, context.Canceled) || upstream.MayHaveHappened(err) {
		t.Errorf("one that had left before: %v", err)
	}
}

func TestCall_WithoutAConnection_HasNotHappened(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	trusted, other := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	foreign := serveTLS(t, other, answered("{}"))
	plain := serve(t, answered("{}"))
	for url, reason := range map[string]string{
		"http://" + addr: "it cannot be connected to: connect: connection refused",
		foreign.URL:      "its certificate is of no authority that is trusted here",
		"https://" + strings.TrimPrefix(plain.URL, "http://"):     "it does not speak TLS",
		strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1): "its certificate is",
		"https://" + "no-such-host.invalid":                       "its host cannot be resolved",
		"http://no-such-host.invalid":                             "its host cannot be resolved",
	} {
		c := ask(t, url, trusts(trusted), func(c *upstream.Config) { c.AllowHTTP = true })
		_, err := c.Call(t.Context(), write())
		var away *upstream.UnavailableError
		if !errors.As(err, &away) || away.Sent || upstream.MayHaveHappened(err) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if n := len(foreign.requests("")) + len(plain.requests("")); n != 0 {
		t.Errorf("%d calls were taken", n)
	}
}

func TestSetRootCAs_HoldsForTheNextCall(t *testing.T) {
	t.Parallel()
	before, after := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	s := serveTLS(t, before, answered("{}"))
	c := ask(t, s.URL, trusts(before))
	if _, err := c.Call(t.Context(), write()); err != nil {
		t.Fatal(err)
	}
	c.SetRootCAs(roots(after))
	if _, err := c.Call(t.Context(), write()); err == nil || upstream.MayHaveHappened(err) {
		t.Errorf("with other authorities: %v", err)
	}
	c.SetRootCAs(roots(before))
	if _, err := c.Call(t.Context(), write()); err != nil {
		t.Error(err)
	}
}

// What is no HTTP may hold anything: no error repeats it.
func TestI6_NoErrorShowsWhatWasSentOrAnswered(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "HTTP/1.1 "+sessionToken+"\r\nX: "+callers+"\r\n\r\n")
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-served })
	rude := "http://" + ln.Addr().String()
	page := serve(t, status(502))
	for _, url := range []string{rude, page.URL, "http://127.0.0.1:1"} {
		c := ask(t, url)
		var texts []string
		for range 7 { // and with an open breaker
			q := write()
			q.Path += "?sessionToken=" + sessionToken
			_, err1 := c.Call(t.Context(), q)
			_, err2 := c.GetSession(t.Context(), "1", sessionToken, upstream.AsOurs())
			_, err3 := c.GetSession(t.Context(), "1", sessionToken, upstream.As(callers))
			if url != page.URL && err1 == nil || err2 == nil || err3 == nil {
				t.Fatalf("%s: no error", url)
			}
			texts = append(texts, fmt.Sprint(err1, err2, err3), fmt.Sprintf("%+v %#v", err2, err3))
		}
		texts = append(texts, c.log.String(), fmt.Sprintf("%+v", c.State()))
		families, err := c.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, fmt.Sprint(families))
		for _, text := range texts {
			for _, secret := range []string{sessionToken, "nobody-may-see", callers} {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %s", url, text)
				}
			}
		}
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s", upstream.As(callers), upstream.As(callers), upstream.As(callers), upstream.AsOurs()),
		fmt.Sprintf("%v %+v %#v", credentials(t, pat), credentials(t, pat), credentials(t, pat)),
		fmt.Sprintf("%+v %#v", upstream.Config{Credentials: credentials(t, pat)}, upstream.Request{As: upstream.As(callers)}),
	} {
		if strings.Contains(text, "nobody-may-see") {
			t.Error(text)
		}
	}
}

func TestCall_BoundsWhatIsUnderWayAndWhatWaits(t *testing.T) {
	t.Parallel()
	handler, let := hold(t, answered("{}"))
	s := serve(t, handler)
	c := ask(t, s.URL, func(c *upstream.Config) { c.Concurrency, c.Queue = 2, 3 })
	ours := write()
	ours.As = upstream.AsOurs()
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if _, err := c.Call(t.Context(), ours); err != nil {
				t.Error(err)
			}
		})
	}
	eventually.Holds(t, "a full queue", func() bool {
		return c.gauge(t, "cloakroom_upstream_queued") == 3 && len(s.requests("")) == 2
	})
	if c.gauge(t, "cloakroom_upstream_in_flight") != 2 {
		t.Error("want 2 under way")
	}
	_, err := c.Call(t.Context(), ours)
	if !errors.Is(err, upstream.ErrBusy) || !errors.Is(err, upstream.ErrUnavailable) || upstream.MayHaveHappened(err) {
		t.Errorf("one more: %v", err)
	}
	if _, err := c.GetSession(t.Context(), "1", "", upstream.AsOurs()); !errors.Is(err, upstream.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	let()
	group.Wait()
	if n := len(s.requests("")); n != 5 {
		t.Errorf("%d calls were made", n)
	}
	if c.gauge(t, "cloakroom_upstream_queued") != 0 || c.gauge(t, "cloakroom_upstream_in_flight") != 0 || c.count(t, "cloakroom_upstream_calls_total set busy") != 1 {
		t.Error("metrics")
	}
	if _, err := c.Call(t.Context(), ours); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCall_AWaitForItsTurnIsPartOfItsTime(t *testing.T) {
	t.Parallel()
	handler, let := hold(t, answered("{}"))
	s := serve(t, handler)
	c := ask(t, s.URL, func(c *upstream.Config) { c.Concurrency, c.Queue = 1, 1 })
	first := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), write())
		first <- err
	}()
	eventually.Holds(t, "the call", func() bool { return len(s.requests("")) == 1 })
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Call(soon, write())
	if !errors.Is(err, context.DeadlineExceeded) || upstream.MayHaveHappened(err) {
		t.Error(err)
	}
	let()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := len(s.requests("")); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}
