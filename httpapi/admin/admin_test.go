package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// adminServer runs an Admin and returns how to ask it.
func adminServer(t *testing.T, c Config) func(method, path string, headers ...string) (int, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- New(c).Run(ctx, ln, time.Minute) }()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return func(method, path string, headers ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+ln.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		req.Host = req.Header.Get("Host")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header.Get("Allow") + string(body)
	}
}

func TestAdmin(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "test_total", Help: "Counts."})
	registry.MustRegister(counter)
	var away atomic.Bool
	ask := adminServer(t, Config{Metrics: registry, Pprof: true, Ready: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		if away.Load() {
			return errors.New("the store is away")
		}
		return nil
	}, Details: func(context.Context) string { return "part: on\n" }})
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/readyz?verbose", 200, "ready\npart: on\n"},
		{"GET", "/livez", 200, "ok"},
		{"HEAD", "/livez", 200, ""},
		{"GET", "/readyz", 200, "ready"},
		{"GET", "/metrics", 200, "test_total 0"},
		{"GET", "/debug/pprof/cmdline", 404, "Not Found"},
		{"GET", "/debug/pprof/./cmdline", 404, "Not Found"},
		{"GET", "/debug/pprof/%63mdline", 404, "Not Found"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"GET", "/v2/sessions/a", 404, `{"code":5,"message":"Not Found"}`},
		{"POST", "/livez", 405, `GET, HEAD{"code":12,"message":"Method Not Allowed"}`},
	} {
		if status, body := ask(c.method, c.path); status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s %s: got %d %.200s, want %d %s", c.method, c.path, status, body, c.status, c.body)
		}
	}
	away.Store(true)
	if status, body := ask("GET", "/readyz"); status != 503 || !strings.Contains(body, "the store is away") {
		t.Errorf("got %d %s", status, body)
	}
	if status, _ := ask("GET", "/livez"); status != 200 {
		t.Errorf("without its store the program is not alive: %d", status)
	}
}

// On loopback the admin listener serves no web page of elsewhere, whatever name
// it has given this machine.
func TestAdminOnLoopback(t *testing.T) {
	ask := adminServer(t, Config{Pprof: true})
	for _, c := range []struct {
		status  int
		headers []string
	}{
		{200, nil},
		{200, []string{"Host", "localhost:9999"}},
		{200, []string{"Origin", "http://localhost:9999", "Sec-Fetch-Site", "same-origin"}},
		{403, []string{"Host", "rebound.example.com"}},
		{403, []string{"Origin", "https://example.com"}},
		{403, []string{"Sec-Fetch-Site", "cross-site"}},
	} {
		for _, path := range []string{"/debug/pprof/goroutine?debug=1", "/livez"} {
			if status, body := ask("GET", path, c.headers...); status != c.status {
				t.Errorf("%s with %v: got %d %.200s, want %d", path, c.headers, status, body, c.status)
			}
		}
	}
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetHost("node-7")
	ctx.Request.SetRequestURI("/livez")
	New(Config{}).handle(t.Context(), &ctx, false)
	if ctx.Response.StatusCode() != http.StatusOK {
		t.Errorf("on another address a host name is refused: %d", ctx.Response.StatusCode())
	}
}

func TestAdminLeavesOut(t *testing.T) {
	ask := adminServer(t, Config{})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 404, "/debug/pprof/": 404, "/debug/pprof/cmdline": 404} {
		if status, body := ask("GET", path); status != want {
			t.Errorf("%s: got %d %s, want %d", path, status, body, want)
		}
	}
}
