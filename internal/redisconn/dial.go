package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// dialer makes the connections to Redis.
type dialer struct {
	timeout time.Duration
	tls     *tlsSource // nil: no TLS
	// once wraps connections so that go-redis does not repeat what was sent.
	once bool
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	plain := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}}
	var conn net.Conn
	var err error
	if d.tls == nil {
		conn, err = plain.DialContext(ctx, network, addr)
	} else {
		var config *tls.Config
		if config, err = d.tls.config(); err != nil {
			return nil, err
		}
		conn, err = (&tls.Dialer{NetDialer: &plain, Config: config}).DialContext(ctx, network, addr)
	}
	if err != nil || !d.once {
		return conn, err
	}
	if raw, ok := conn.(syscall.Conn); ok {
		return &rawOnceConn{onceConn{conn}, raw}, nil
	}
	return &onceConn{conn}, nil
}

// onceConn is a connection whose errors go-redis takes for final. Its client of
// a Cluster repeats a command three times when a reply is lost, and has no
// setting against that alone: it repeats by the same count what a node refuses
// with MOVED or ASK, which has to be repeated. It knows a lost reply by the kind
// of the error (io.EOF, a time-out), so the kind is taken away. What was not
// sent, because no connection was to be had, it may repeat.
type onceConn struct{ net.Conn }

// rawOnceConn lets go-redis see whether an idle connection was closed.
type rawOnceConn struct {
	onceConn
	syscall.Conn
}

func (c *onceConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, final(err)
}

func (c *onceConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, final(err)
}

// lostError says that a reply was lost, and perhaps not the command.
type lostError struct{ err error }

func (e *lostError) Error() string {
	if errors.Is(e.err, io.EOF) {
		return "redis closed the connection"
	}
	return e.err.Error()
}

// Cause returns the error as it was, for a breaker, which must know its kind.
func (e *lostError) Cause() error { return e.err }

// final hides the kind of an error.
func final(err error) error {
	if err == nil {
		return nil
	}
	return &lostError{err}
}
