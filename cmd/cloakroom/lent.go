package main

import (
	"io"
	"net"
	"sync/atomic"
	"time"
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

// lend returns ln for a server to have for a while; false if ln, which may be nil,
// is no TCP or unix listener.
func lend(ln net.Listener) (*lentListener, bool) {
	socket, ok := ln.(lentSocket)
	return &lentListener{lentSocket: socket}, ok
}

// giveBack lets the listener accept again, when nobody does that any more with l.
func (l *lentListener) giveBack() error { return l.SetDeadline(time.Time{}) }

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
