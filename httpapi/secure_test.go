package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// secured runs f's server on one more listener, with TLS, and makes f's client
// ask there.
type secured struct {
	*fixture
	ln     *server.TLSListener
	client *tls.Config
	failed atomic.Int32
	stop   context.CancelFunc
	ended  chan error
}

func newSecured(t *testing.T, change ...func(*setup)) *secured {
	t.Helper()
	s := &secured{fixture: newFixture(t, change...)}
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // has a certificate for 127.0.0.1
	defer lender.Close()
	s.ln = &server.TLSListener{
		Listener: listen(t),
		Config:   &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		Failed:   func() { s.failed.Add(1) },
	}
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	s.client = &tls.Config{RootCAs: roots}
	s.addr = s.ln.Addr().String()
	s.url = "https://" + s.addr
	transport := &http.Transport{TLSClientConfig: s.client, ForceAttemptHTTP2: true}
	s.fixture.client = &http.Client{Transport: transport}
	s.stop, s.ended = s.serveOn(s.ln, time.Minute)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.stop()
		if err := <-s.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// handshake opens a connection of its own.
func (s *secured) handshake() *tls.Conn {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.addr, s.client)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestTLS(t *testing.T) {
	s := newSecured(t)
	s.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s", `{"factors":{"user":{"id":"u"}}}`)
	for range 3 { // on one connection
		if r := s.want(http.StatusOK, "admin", "GET", "/v2/sessions/s", ``); !strings.Contains(r.body, `"u"`) {
			t.Errorf("got %s", r.body)
		}
	}
	if state := s.handshake().ConnectionState(); state.Version < tls.VersionTLS12 {
		t.Errorf("version %x", state.Version)
	}
}

// A client that is answered before its body has come gets the answer, over TLS as
// well: no reset takes it away.
func TestTLS_RefusedUnread(t *testing.T) {
	s := newSecured(t)
	conn := s.handshake()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, "POST /v2/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n"+strings.Repeat("x", 9_000_000))
	}()
	answer, err := io.ReadAll(conn)
	conn.Close()
	<-written
	if !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") || err != nil {
		t.Errorf("got %.80q, %v", answer, err)
	}
}

// A client that does not end its handshake is cut off when the time to read a
// request is over, and is no request.
func TestTLS_HandshakeThatDoesNotEnd(t *testing.T) {
	s := newSecured(t, func(s *setup) { s.limits.Read = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "\x16\x03\x01") // a beginning
	if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	if n := s.failed.Load(); n != 1 {
		t.Errorf("%d handshakes failed, want 1", n)
	}
}

// A client that speaks plain HTTP, or an old TLS, is told so by TLS.
func TestTLS_Refuses(t *testing.T) {
	s := newSecured(t)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: h\r\n\r\n")
	if answer, err := io.ReadAll(conn); strings.Contains(string(answer), "HTTP") || err != nil {
		t.Errorf("got %q, %v", answer, err)
	}
	old := s.client.Clone()
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	_, err = tls.Dial("tcp", s.addr, old)
	if alert, ok := errors.AsType[tls.AlertError](err); !ok && (err == nil || !strings.Contains(err.Error(), "protocol version")) {
		t.Errorf("got %v, %v", err, alert)
	}
	// The client has the alert before the server counts.
	eventually.Holds(t, "two handshakes have failed", func() bool { return s.failed.Load() == 2 })
}

// A connection that has ended its handshake and sent nothing does not hold the
// drain up, nor does one within its handshake. (I7)
func TestI7_TLSDrainsSilentConnections(t *testing.T) {
	s := newSecured(t, func(s *setup) { s.limits.Read, s.limits.idleAtEnd = time.Hour, time.Millisecond })
	silent := s.handshake()
	within, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer within.Close()
	s.want(http.StatusOK, "", "GET", "/version", "") // the others are known to the server
	s.stop()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		s.ended <- nil
	case <-time.After(time.Minute):
		t.Fatal("Run waits for a connection that has sent nothing")
	}
	for _, conn := range []net.Conn{silent, within} {
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil {
			t.Errorf("got %q, %v", rest, err)
		}
	}
}
