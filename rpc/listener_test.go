package rpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/rpc"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// key hands a key over as ZITADEL's Go SDK does, with each call.
type key struct {
	secret  string
	withTLS bool
}

func (k key) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + k.secret}, nil
}

func (k key) RequireTransportSecurity() bool { return k.withTLS }

// A client that trusts our authority alone agrees on HTTP/2 by ALPN, others on HTTP/1.1; one
// that trusts others fails, and is counted.
func TestTLS(t *testing.T) {
	t.Parallel()
	authority := tlstest.NewAuthority(t)
	pair, err := tls.X509KeyPair(authority.Issue(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var failed atomic.Int32
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	f := start(t, func(s *setup) {
		s.tls = &server.TLSListener{
			Config: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}},
			Failed: func() { failed.Add(1) },
		}
		s.dialTLS = credentials.NewTLS(&tls.Config{RootCAs: roots})
	})
	f.stored()
	got := new(sessionv2.GetSessionResponse)
	err = f.conn.Invoke(t.Context(), "/zitadel.session.v2.SessionService/GetSession", &sessionv2.GetSessionRequest{SessionId: "s1"}, got,
		grpc.PerRPCCredentials(key{f.secret["admin"], true}))
	if err != nil || got.Session.GetId() != "s1" {
		t.Errorf("%v, %v", got, err)
	}
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
		client := &http.Client{Transport: transport}
		answer, err := client.Get("https://" + f.addr + "/zitadel.session.v2.SessionService/GetSession?encoding=json&message=%7B%22sessionId%22%3A%22s1%22%7D")
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 1, true: 2}[http2]; answer.ProtoMajor != want || answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("HTTP/%d, %d, want HTTP/%d", answer.ProtoMajor, answer.StatusCode, want)
		}
		answer.Body.Close()
		transport.CloseIdleConnections()
	}
	if n := failed.Load(); n != 0 {
		t.Errorf("%d handshakes have failed", n)
	}
	conn, err := tls.Dial("tcp", f.addr, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"})
	if err == nil {
		conn.Close()
		t.Fatal("a client trusts another authority")
	}
	eventually.Holds(t, "the handshake is counted", func() bool { return failed.Load() == 1 })
}

// Without TLS per-call credentials are sent as ZITADEL's SDK does with WithInsecure.
func TestPlaintext(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	conn, err := grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(key{f.secret["admin"], false}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := new(sessionv2.GetSessionResponse)
	if err := conn.Invoke(t.Context(), "/zitadel.session.v2.SessionService/GetSession", &sessionv2.GetSessionRequest{SessionId: "s1"}, got); err != nil || got.Session.GetId() != "s1" {
		t.Errorf("%v, %v", got, err)
	}
}

// A listener serves what it is told to, and nothing else.
func TestServices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		services   rpc.Services
		api, check codes.Code
	}{
		"api":   {rpc.Services{API: true}, codes.OK, codes.Unimplemented},
		"check": {rpc.Services{Check: true}, codes.Unimplemented, codes.OK},
	} {
		f := start(t, func(s *setup) { s.rpc.Services = c.services })
		token := f.stored()
		err := f.call("admin", "GetSession", &sessionv2.GetSessionRequest{SessionId: "s1"}, new(sessionv2.GetSessionResponse))
		if status.Code(err) != c.api {
			t.Errorf("%s: the API: %v", name, err)
		}
		if _, err := f.check(false, "", "authorization", "Bearer "+token); status.Code(err) != c.check {
			t.Errorf("%s: Check: %v", name, err)
		}
		for service, want := range map[string]codes.Code{"": codes.OK, "zitadel.session.v2.SessionService": map[bool]codes.Code{true: codes.OK, false: codes.NotFound}[c.services.API], "x": codes.NotFound} {
			err := f.conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", &healthpb.HealthCheckRequest{Service: service}, new(healthpb.HealthCheckResponse))
			if status.Code(err) != want {
				t.Errorf("%s: health of %q: %v, want %v", name, service, err, want)
			}
		}
	}
}

// Health says what readiness says.
func TestHealth_NotReady(t *testing.T) {
	t.Parallel()
	f := start(t, func(s *setup) { s.rpc.Ready = func(context.Context) error { return errors.New("not ready") } })
	healthy := new(healthpb.HealthCheckResponse)
	if err := f.conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", new(healthpb.HealthCheckRequest), healthy); err != nil || healthy.Status != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v, %v", healthy, err)
	}
}

// Without credentials a host other than this machine is refused on a port, and nothing on a
// unix socket, which no web page can reach.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	for _, unix := range []bool{false, true} {
		f := start(t, func(s *setup) { s.api.Anonymous, s.unix = true, unix })
		f.stored()
		conn, err := grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("evil.example"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		err = conn.Invoke(t.Context(), "/zitadel.session.v2.SessionService/GetSession", &sessionv2.GetSessionRequest{SessionId: "s1"}, new(sessionv2.GetSessionResponse))
		if want := map[bool]codes.Code{false: codes.PermissionDenied, true: codes.OK}[unix]; status.Code(err) != want {
			t.Errorf("unix %v: %v, want %v", unix, err, want)
		}
	}
}

// Where there is no store yet, every protocol is told so. (I2)
func TestI2_Unavailable(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rpc.RunUnavailable(ctx, ln, slog.New(slog.DiscardHandler)) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	f := &fixture{t: t, addr: ln.Addr().String()}
	if f.conn, err = grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	defer f.conn.Close()
	for range 3 {
		if err := f.call("", "GetSession", &sessionv2.GetSessionRequest{SessionId: "s1"}, new(sessionv2.GetSessionResponse)); status.Code(err) != codes.Unavailable {
			t.Errorf("gRPC: %v", err)
		}
	}
	for contentType, want := range map[string]int{"application/json": http.StatusServiceUnavailable, "application/proto": http.StatusServiceUnavailable, "text/plain": http.StatusServiceUnavailable, "application/grpc-web+proto": http.StatusOK} {
		if answer, body := f.web(http.MethodPost, listCall, nil, "Content-Type", contentType); answer.StatusCode != want || !answer.Close {
			t.Errorf("%s: %d, %q, closed: %v", contentType, answer.StatusCode, body, answer.Close)
		}
	}
}

// Metrics name the protocol of each call.
func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	f := start(t, func(s *setup) { s.api.Metrics = registry })
	token := f.stored()
	for range 2 {
		if err := f.call("admin", "GetSession", &sessionv2.GetSessionRequest{SessionId: "s1"}, new(sessionv2.GetSessionResponse)); err != nil {
			t.Fatal(err)
		}
	}
	f.web(http.MethodPost, listCall, make([]byte, 5), "Content-Type", "application/grpc-web+proto")
	f.web(http.MethodPost, listCall, nil, "Content-Type", "application/proto")
	if _, err := f.check(false, "", "authorization", "Bearer "+token); err != nil {
		t.Fatal(err)
	}
	got := observed.Counts(t, registry)
	maps.DeleteFunc(got, func(name string, _ float64) bool { return !strings.HasPrefix(name, "cloakroom_http_requests_total ") })
	if want := map[string]float64{
		"cloakroom_http_requests_total 200 grpc POST /zitadel.session.v2.SessionService/GetSession":       2,
		"cloakroom_http_requests_total 200 grpc-web POST /zitadel.session.v2.SessionService/ListSessions": 1,
		"cloakroom_http_requests_total 200 connect POST /zitadel.session.v2.SessionService/ListSessions":  1,
		"cloakroom_http_requests_total 200 grpc /verify":                                                  1,
	}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A connection that is one too many is closed; it takes the place of one that has ended.
func TestConnections(t *testing.T) {
	t.Parallel()
	const most = 3
	f := start(t, func(s *setup) { s.rpc.MaxConnections = most })
	conns := make([]net.Conn, most)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i := range conns {
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	extra, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	if n, err := extra.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many: %d, %v", n, err)
	}
	conns[0].Close()
	eventually.Holds(t, "there is place for another", func() bool {
		return f.call("admin", "ListSessions", &sessionv2.ListSessionsRequest{}, new(sessionv2.ListSessionsResponse)) == nil
	})
}
