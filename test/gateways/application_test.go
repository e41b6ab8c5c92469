package gateways

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// seen is a request as it reached the application.
type seen struct {
	method, target, host string
	header               http.Header
	body                 int64
}

// identity returns the values of the headers that an application could take for identity headers, by their name in lower
// case with hyphens: many applications make no difference.
func (s *seen) identity() map[string][]string {
	found := map[string][]string{}
	for name, values := range s.header {
		name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if strings.HasPrefix(name, "x-session-") && name != "x-session-token" {
			found[name] = append(found[name], values...)
		}
	}
	return found
}

// application is what the gateways protect. It records what reaches it.
type application struct {
	addr string

	mu   sync.Mutex
	seen []*seen
}

func startApplication(t *testing.T) *application {
	t.Helper()
	a := &application{}
	a.addr = serve(t, a)
	return a
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		n = -1
	}
	a.mu.Lock()
	a.seen = append(a.seen, &seen{method: r.Method, target: r.RequestURI, host: r.Host, header: r.Header.Clone(), body: n})
	a.mu.Unlock()
	w.Header().Set("X-Application", "here")
	_, _ = io.WriteString(w, "hello\n")
}

// take returns what was seen since the last call.
func (a *application) take() []*seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.seen
	a.seen = nil
	return s
}

// serve serves h on a free port until the end of the test.
func serve(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	return serveWith(t, &http.Server{Handler: h, ReadHeaderTimeout: startTimeout})
}

// serveWith runs server on a free port until the end of the test.
func serveWith(t *testing.T, server *http.Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended // I7
	})
	return l.Addr().String()
}
