package listen

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// LentListener is a listener for a server that another one goes on with: Close
// ends Accept, and the listener stays open.
type LentListener struct {
	lentSocket
	closed atomic.Bool
}

// lentSocket is a TCP or unix listener.
type lentSocket interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// Lend returns ln for a server to have for a while; false if ln, which may be nil,
// is no TCP or unix listener.
func Lend(ln net.Listener) (*LentListener, bool) {
	socket, ok := ln.(lentSocket)
	return &LentListener{lentSocket: socket}, ok
}

// GiveBack lets the listener accept again, when nobody does that any more with l.
func (l *LentListener) GiveBack() error { return l.SetDeadline(time.Time{}) }

// Accept returns io.EOF once l was closed.
func (l *LentListener) Accept() (net.Conn, error) {
	conn, err := l.lentSocket.Accept()
	if err != nil && l.closed.Load() {
		return nil, io.EOF
	}
	return conn, err
}

// Close implements net.Listener.
func (l *LentListener) Close() error {
	l.closed.Store(true)
	return l.SetDeadline(time.Unix(1, 0))
}
