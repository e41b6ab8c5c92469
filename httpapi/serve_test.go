package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/valyala/fasthttp"
)

// serveOn runs f's server on one more listener.
func (f *fixture) serveOn(ln net.Listener, timeout time.Duration) (stop context.CancelFunc, ended chan error) {
	ctx, stop := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() { ended <- f.server.Run(ctx, ln, timeout) }()
	return stop, ended
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// What is under way when the server is told to stop is answered, with
// Connection: close, and Run waits for it. (I7)
func TestI7_RunDrains(t *testing.T) {
	f := newFixture(t)
	ln := listen(t)
	stop, ended := f.serveOn(ln, time.Minute)
	f.url = "http://" + ln.Addr().String()
	f.want(http.StatusOK, "", "GET", "/version", "") // an idle connection

	out, answered := f.beginImport()
	_, _ = io.WriteString(out, `{"id":"a"}`+"\n")
	eventually.Holds(t, "the import to begin", func() bool { return f.server.imports.AtWork() == 1 })
	stop()
	eventually.Holds(t, "the listener to close", func() bool {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	select {
	case err := <-ended:
		t.Fatalf("Run returned %v before the request was answered", err)
	default:
	}
	_, _ = io.WriteString(out, `{"id":"b"}`+"\n")
	out.Close()
	r := <-answered
	if r.status != http.StatusOK || !strings.Contains(r.body, `"stored":2`) || !r.closed {
		t.Errorf("got %d %s %v", r.status, r.body, r.header)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// What takes longer than the time for it is cut off, and Run still waits for
// its goroutines. (I7)
func TestI7_RunCutsOff(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.pause = time.Hour })
	ln := listen(t)
	stop, ended := f.serveOn(ln, 10*time.Millisecond)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /v2/sessions/import HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+f.secret["writer"]+"\r\nTransfer-Encoding: chunked\r\n\r\n")
	eventually.Holds(t, "the import to begin", func() bool { return f.server.imports.AtWork() == 1 })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if f.server.imports.AtWork() != 0 {
		t.Error("Run returned before the import ended")
	}
	if !strings.Contains(f.logs.String(), "requests were cut off") || !strings.Contains(f.logs.String(), "connections=1") {
		t.Errorf("the log does not tell what was cut off:\n%s", f.logs)
	}
}

// A connection on which nothing has come yet, or half a header, does not hold the drain up, not
// even one that is accepted while it goes on; a request that has come is answered. (I7)
func TestI7_RunDrainsSilentConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(s *setup) { s.limits.Read = time.Hour })
	ln := listen(t)
	stop, ended := f.serveOn(ln, time.Hour)
	silent, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	half, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	_, _ = io.WriteString(half, "GET /verify HTTP/1.1\r\nHost: loc")
	// Connections are accepted in order: with the answer to a later one the
	// other two are known to the server.
	f.url = "http://" + ln.Addr().String()
	f.want(http.StatusOK, "", "GET", "/version", "")
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run waits for a connection that has sent nothing, or half a header")
	}
	if rest, err := io.ReadAll(silent); len(rest) > 0 || err != nil {
		t.Errorf("the silent connection got %q, %v", rest, err)
	}
}

// TestI7_RunEndsHalfARequest stops a server that has a part of a request: what has not come is not waited for, and the client is
// told that we are away, and not that its request or its token is bad.
func TestI7_RunEndsHalfARequest(t *testing.T) {
	t.Parallel()
	for _, part := range []string{
		"GET /verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Be",
		"GET /v2/sessions/1 HTTP/1.1\r\nHost: loc",
		"POST /v2/sessions/search HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer KEY\r\nContent-Length: 2\r\n\r\n",
		"POST /v2/sessions/import HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer KEY\r\nContent-Length: 2\r\n\r\n",
	} {
		f := newFixture(t, func(s *setup) { s.limits.Read = time.Hour })
		ln := listen(t)
		stop, ended := f.serveOn(ln, time.Hour)
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, _ = io.WriteString(client, strings.Replace(part, "KEY", f.secret["admin"], 1))
		f.url = "http://" + ln.Addr().String()
		f.want(http.StatusOK, "", "GET", "/version", "")
		stop()
		text, err := io.ReadAll(client)
		client.Close()
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 503 ") || !strings.Contains(string(text), "Retry-After: 1\r\n") {
			t.Errorf("%q: got %q, %v", part, text, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// A context that has ended already serves nothing and leaves nothing behind.
func TestRunWithEndedContext(t *testing.T) {
	f := newFixture(t)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := f.server.Run(ctx, listen(t), time.Minute); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A listener that fails ends Run with its error.
func TestRunWithBrokenListener(t *testing.T) {
	f := newFixture(t)
	ln := brokenListener{listen(t)}
	defer ln.Close()
	if err := f.server.Run(context.Background(), ln, time.Minute); !errors.Is(err, errBrokenListener) {
		t.Errorf("Run: %v", err)
	}
}

var errBrokenListener = errors.New("broken")

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errBrokenListener }

// On a unix socket every host name is served without authentication.
func TestAnonymousOnUnixSocket(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.config.Anonymous = true })
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := f.serveOn(ln, time.Minute)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", ln.Addr().String())
	}}
	res, err := (&http.Client{Transport: transport}).Get("http://example.com/v2/sessions/x")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("got %d", res.StatusCode)
	}
	transport.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A bug in a handler is answered without a word of what it was, and logged
// with its stack under the request's ID.
func TestPanic(t *testing.T) {
	f := newFixture(t)
	h := f.server.handle(context.Background(), &route{call: "Broken", open: true, do: func(*Server, context.Context, *call) error {
		panic("the secret reason")
	}}, face{})
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.Set("X-Request-Id", "req-7")
	h(&ctx)
	body := string(ctx.Response.Body())
	if ctx.Response.StatusCode() != http.StatusInternalServerError || body != `{"code":13,"message":"An internal error occurred: request req-7"}` {
		t.Errorf("got %d %s", ctx.Response.StatusCode(), body)
	}
	for _, want := range []string{"the secret reason", "req-7", "serve_test.go"} {
		if !strings.Contains(f.logs.String(), want) {
			t.Errorf("the log does not have %s", want)
		}
	}
}

// Every fault of a configuration is told.
func TestNewRefuses(t *testing.T) {
	_, err := New(Config{DefaultLimit: 5, MaxLimit: 4, MaxBodyBytes: -1, MaxSessionBytes: -1, DefaultLifetime: 2, MaxLifetime: 1})
	for _, want := range []string{"Store", "DefaultLimit (5)", "MaxBodyBytes", "MaxSessionBytes", "DefaultLifetime"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := New(Config{Store: new(cache.Store), MaxLifetime: 1}); err == nil || !strings.Contains(err.Error(), "needs a DefaultLifetime") {
		t.Errorf("got %v: without a lifetime, a session would have none", err)
	}
	if _, err := New(Config{Store: new(cache.Store), DefaultLimit: -1, MaxLimit: -1, MaxLifetime: -1}); err == nil {
		t.Error("negative values are taken")
	}
}

// Each write, done or refused, is one line of the log; reads are none.
func TestAudit(t *testing.T) {
	f := newFixture(t)
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s", `{}`, "X-Request-Id", "req-1")
	f.want(http.StatusForbidden, "nobody", "DELETE", "/v2/sessions/s", ``, "X-Request-Id", "req-2")
	f.want(http.StatusOK, "admin", "GET", "/v2/sessions/s", ``, "X-Request-Id", "req-3")
	f.want(http.StatusForbidden, "nobody", "GET", "/v2/sessions/s", ``, "X-Request-Id", "req-4")
	eventually.Holds(t, "the log", func() bool { return f.logs.Count("request_id=") == 2 })
	for _, want := range []string{
		"level=INFO msg=write request_id=req-1 call=PutSession status=201",
		"caller=admin user_id=svc-admin session_id=s",
		`level=INFO msg="write refused" request_id=req-2 call=DeleteSession status=403`,
		`caller=nobody user_id=svc-nobody session_id=s code=7 reason="No matching permissions found (AUTH-5mWD2)"`,
	} {
		if !strings.Contains(f.logs.String(), want) {
			t.Errorf("the log has not %q:\n%s", want, f.logs)
		}
	}
}
