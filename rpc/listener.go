package rpc

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
)

// maxConnections is the default of Config.MaxConnections.
const maxConnections = 8192

// listener bounds the number of connections, and puts TLS above them.
type listener struct {
	net.Listener
	tls  *server.TLSListener // nil without TLS
	most int
	open atomic.Int64
	// full is told of each connection that is one too many.
	full func()
}

func newListener(ln net.Listener, most int, full func()) *listener {
	l := &listener{Listener: ln, most: most, full: full}
	if t, is := ln.(*server.TLSListener); is {
		l.Listener, l.tls = t.Listener, t
	}
	return l
}

// Accept implements net.Listener. With TLS it returns *tls.Conns: net/http wants these to
// see whether the client has agreed on HTTP/2.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) > int64(l.most) {
			l.open.Add(-1)
			_ = conn.Close()
			l.full()
			continue
		}
		c := &countedConn{Conn: conn, of: l}
		if l.tls == nil {
			return c, nil
		}
		c.tls = tls.Server(c, l.tls.Config)
		return c.tls, nil
	}
}

// countedConn is a connection that its listener counts until it is closed.
type countedConn struct {
	net.Conn
	of     *listener
	tls    *tls.Conn // above it; nil without TLS
	closed atomic.Bool
}

// CloseWrite ends what is sent, and not what is received, where that can be done apart.
func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements net.Conn. A handshake that was not at its end by then has failed.
func (c *countedConn) Close() error {
	err := c.Conn.Close() // first: a handshake that is under way ends with it
	if c.closed.Swap(true) {
		return err
	}
	c.of.open.Add(-1)
	if c.tls != nil && c.of.tls.Failed != nil && !c.tls.ConnectionState().HandshakeComplete {
		c.of.tls.Failed()
	}
	return err
}
