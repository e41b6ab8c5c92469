package upstream_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
)

// The secrets of these tests: no error, log or metric may have them. (I6)
const (
	pat          = "pat-that-nobody-may-see"
	sessionToken = "session.token.that.nobody.sees"
	callers      = "Bearer authorization-that-nobody-may-see"
)

// seen is a request as a server got it.
type seen struct {
	method, path, host, body string
	header                   http.Header
	major                    int // of the version of HTTP
}

// server is a server in ZITADEL's place. It answers as it is told to, and remembers what it was asked.
type server struct {
	URL string

	mu    sync.Mutex
	asked []seen
}

// serve starts a server without TLS; it ends with the test, after the clients.
func serve(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	h := httptest.NewUnstartedServer(s.handler(answer))
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.Start()
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// serveTLS starts a server with a certificate of a, which speaks HTTP/2.
func serveTLS(t *testing.T, a *tlstest.Authority, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	h := httptest.NewUnstartedServer(s.handler(answer))
	pair, err := tls.X509KeyPair(a.Issue(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	h.TLS, h.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{pair}}, true
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

func (s *server) handler(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		s.asked = append(s.asked, seen{r.Method, r.RequestURI, r.Host, string(body), r.Header.Clone(), r.ProtoMajor})
		s.mu.Unlock()
		answer(w, r)
	})
}

// requests returns what was asked for so far, at a path; "" is any.
func (s *server) requests(path string) (found []seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.asked {
		if path == "" || r.path == path {
			found = append(found, r)
		}
	}
	return found
}

// watched is a client with what it shows.
type watched struct {
	*upstream.Client
	log     *observed.Log
	metrics *prometheus.Registry
}

// ask makes a client of a server, with a personal access token unless config has others.
func ask(t *testing.T, url string, change ...func(*upstream.Config)) *watched {
	t.Helper()
	w := &watched{log: &observed.Log{}, metrics: prometheus.NewRegistry()}
	config := upstream.Config{
		URL: url, Credentials: credentials(t, pat), Queue: upstream.DefaultQueue, Timeout: 20 * time.Second, Metrics: w.metrics,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&config)
	}
	var err error
	if w.Client, err = upstream.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func credentials(t *testing.T, text string) *upstream.Credentials {
	t.Helper()
	c, err := upstream.ParseCredentials([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// gauge is the value of a gauge.
func (w *watched) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// count is the value of a counter with labels.
func (w *watched) count(t *testing.T, name string) float64 {
	t.Helper()
	return observed.Counts(t, w.metrics)[name]
}

// write is a call that changes something.
func write() upstream.Request {
	return upstream.Request{
		Name: "set", Method: "PATCH", Path: "/v2/sessions/1", Body: []byte(`{"metadata":{"a":"YQ=="}}`), As: upstream.As(callers),
		Header: http.Header{"Content-Type": {"application/json"}},
	}
}

// exchange is a recorded one.
type exchange struct {
	Name, Method, Path string
	Auth               *string
	RequestBody        *string
	Status             int
	Headers            [][2]string
	Body               string
}

// recordings are exchanges with a real ZITADEL.
func recordings(t testing.TB) (all []exchange) {
	t.Helper()
	f, err := os.Open("testdata/exchanges.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e exchange
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if err := lines.Err(); err != nil || len(all) < 70 {
		t.Fatalf("%d recordings: %v", len(all), err)
	}
	return all
}

// recorded is the recording of a name.
func recorded(t testing.TB, name string) exchange {
	t.Helper()
	for _, e := range recordings(t) {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("there is no recording %q", name)
	return exchange{}
}

// answer answers as was recorded.
func (e exchange) answer(w http.ResponseWriter) {
	for _, h := range e.Headers {
		if h[0] != "Content-Length" && h[0] != "Connection" && h[0] != "Transfer-Encoding" {
			w.Header().Add(h[0], h[1])
		}
	}
	w.WriteHeader(e.Status)
	_, _ = io.WriteString(w, e.Body)
}

// handler always answers as was recorded.
func (e exchange) handler(w http.ResponseWriter, _ *http.Request) { e.answer(w) }

// id is the session ID in a recorded request.
func (e exchange) id(t testing.TB) string {
	t.Helper()
	if rest, ok := strings.CutPrefix(e.Path, "/v2/sessions/"); ok {
		id, _, _ := strings.Cut(rest, "?")
		return id
	}
	var body struct{ SessionID string }
	if err := json.Unmarshal([]byte(*e.RequestBody), &body); err != nil {
		t.Fatal(err)
	}
	return body.SessionID
}

// hold answers when the test lets it. go lets all.
func hold(t *testing.T, then http.HandlerFunc) (handler http.HandlerFunc, let func()) {
	gate := make(chan struct{})
	let = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(let)
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			then(w, r)
		case <-r.Context().Done():
		}
	}, let
}

// crash ends the connection of a request that was read.
func crash(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// status answers with a status, and a page of a proxy.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "<html><body><h1>nginx</h1></body></html>")
	}
}
