package load

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A server with TLS is loaded as any other, over HTTP/1.1, also where it ends connections; one whose certificate nobody vouches
// for is not.
func TestLoad_TLS(t *testing.T) {
	var asked, other atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			other.Add(1)
		}
		if asked.Add(1)%5 == 0 {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, "right")
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	e, err := ParseEndpoint(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	l := &Load{
		Target: e, Scenario: asker{new(atomic.Int64)}, Checking: true, DeepEvery: 10,
		Connections: 4, Length: 300 * time.Millisecond, Timeout: 5 * time.Second,
	}
	if _, err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("an unknown certificate: %v", err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Target.Trust(file); err != nil {
		t.Fatal(err)
	}
	o, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := l.Live.Answered.Load(); n < 10 || l.Live.Errors.Load() > 0 || o.total.wrong > 0 || other.Load() > 0 {
		t.Errorf("%d answers, %d errors, %d wrong, %d not by HTTP/1.1", n, l.Live.Errors.Load(), o.total.wrong, other.Load())
	}
	if a, err := Fetch(t.Context(), l.Target, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil || string(a.Body) != "right" {
		t.Errorf("%v, %v", a, err)
	}
	plain := Endpoint{Host: "h"}
	if err := plain.Trust(file); err == nil {
		t.Error("certificates for an endpoint without TLS")
	}
	if err := e.Trust("tls_test.go"); err == nil {
		t.Error("a file without certificates")
	}
}
