package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// adminServer runs an Admin and returns how to ask it.
func adminServer(t *testing.T, c AdminConfig) func(method, path string) (int, string) {
	t.Helper()
	ln := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- NewAdmin(c).Run(ctx, ln, time.Minute) }()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+ln.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
}

func TestAdmin(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "test_total", Help: "Counts."})
	registry.MustRegister(counter)
	var away atomic.Bool
	ask := adminServer(t, AdminConfig{Metrics: registry, Pprof: true, Ready: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		if away.Load() {
			return errors.New("the store is away")
		}
		return nil
	}})
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/livez", 200, "ok"},
		{"HEAD", "/livez", 200, ""},
		{"GET", "/readyz", 200, "ready"},
		{"GET", "/metrics", 200, "test_total 0"},
		{"GET", "/debug/pprof/cmdline", 200, "httpapi.test"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"GET", "/v2/sessions/a", 404, `{"code":5,"message":"Not Found"}`},
		{"POST", "/livez", 400, ""},
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

func TestAdminLeavesOut(t *testing.T) {
	ask := adminServer(t, AdminConfig{})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 404, "/debug/pprof/": 404, "/debug/pprof/cmdline": 404} {
		if status, body := ask("GET", path); status != want {
			t.Errorf("%s: got %d %s, want %d", path, status, body, want)
		}
	}
}
