package rpc_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/rpc"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// A call that is under way when the listener stops is answered, and then nothing listens
// any more. (I7)
func TestI7_Shutdown(t *testing.T) {
	t.Parallel()
	for name, services := range checkListeners {
		f := start(t, func(s *setup) { s.rpc.Services = services })
		token := f.stored()
		reads := func() uint64 { return f.store.BatchStats()[0].Calls }
		before := reads()
		f.redis.Pause()
		answered := make(chan error, 1)
		go func() {
			if services.API {
				answered <- f.call("admin", "GetSession", &sessionv2.GetSessionRequest{SessionId: "s1"}, new(sessionv2.GetSessionResponse))
				return
			}
			_, err := f.check(true, "", "authorization", "Bearer "+token)
			answered <- err
		}()
		eventually.Holds(t, "the call is under way", func() bool { return reads() > before })
		stopped := make(chan error, 1)
		go func() { stopped <- f.stop() }()
		eventually.Holds(t, "the listener takes no connection", func() bool {
			conn, err := net.DialTimeout("tcp", f.addr, time.Second)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		f.redis.Resume()
		// Redis may have been late: that is an answer, too, and not what a lost connection says.
		if err := <-answered; err != nil && status.Convert(err).Message() != "the session store is unavailable" {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A listener that stops before it has begun has not failed.
func TestShutdown_AtOnce(t *testing.T) {
	t.Parallel()
	for name, services := range checkListeners {
		for range 20 {
			f := start(t, func(s *setup) { s.rpc.Services = services })
			if err := f.stop(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Check alone speaks TLS, too, and counts a client that trusts another authority.
func TestTLS_CheckAlone(t *testing.T) {
	t.Parallel()
	authority := tlstest.NewAuthority(t)
	pair, err := tls.X509KeyPair(authority.Issue(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan struct{}, 10)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	f := start(t, func(s *setup) {
		s.rpc.Services = rpc.Services{Check: true}
		s.tls = &server.TLSListener{Config: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}, Failed: func() { failed <- struct{}{} }}
		s.dialTLS = credentials.NewTLS(&tls.Config{RootCAs: roots})
	})
	token := f.stored()
	if answer, err := f.check(true, "", "authorization", "Bearer "+token); err != nil || answer.GetOkResponse() == nil {
		t.Errorf("%v, %v", answer, err)
	}
	if conn, err := tls.Dial("tcp", f.addr, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}); err == nil {
		conn.Close()
		t.Fatal("a client trusts another authority")
	}
	<-failed
}
