package main

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi"
)

// lentListener is a listener for a server that another one goes on with: Close
// ends Accept, and the listener stays open.
type lentListener struct {
	lentSocket
	closed atomic.Bool
}

// lentSocket is a TCP or unix listener.
type lentSocket interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// Accept returns io.EOF once l was closed.
func (l *lentListener) Accept() (net.Conn, error) {
	conn, err := l.lentSocket.Accept()
	if err != nil && l.closed.Load() {
		return nil, io.EOF
	}
	return conn, err
}

// Close implements net.Listener.
func (l *lentListener) Close() error {
	l.closed.Store(true)
	return l.SetDeadline(time.Unix(1, 0))
}

// storePatience is how long a client that has connected waits for the first
// answer of Redis, as it does for any other.
const storePatience = time.Second

// refuseMeanwhile answers 503 on the sockets of the service manager after
// storePatience, until stop is called. Clients can connect to them before there is
// a store, and would wait as long as Redis is away. To addresses that are ours they
// cannot, and can ask another process.
func (s *sidecar) refuseMeanwhile() (stop func() error) {
	refusing := newParts()
	for _, l := range []struct {
		setting     string
		verify      bool
		certificate *certificate
	}{{"http-addr", false, s.c.httpTLS}, {"verify-addr", true, s.c.verifyTLS}} {
		socket, inherited := s.c.inherited[l.setting].(lentSocket)
		if !inherited {
			continue
		}
		refusing.onStop(l.setting, func() error { return socket.SetDeadline(time.Time{}) }) // when nobody accepts any more
		refusing.start(l.setting, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(storePatience):
			}
			return httpapi.RunUnavailable(ctx, secured(&lentListener{lentSocket: socket}, l.certificate), l.verify, &httpapi.Config{
				Logger: s.log, MaxHeaderBytes: s.c.maxHeader, Verify: s.c.verify,
			})
		})
	}
	return refusing.stop
}
