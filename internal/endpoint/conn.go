package endpoint

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// conn is a connection to a server. Nothing is sent over it, and nothing that
// comes over it is taken, unless the server is proven to be the master.
//
// What was asked before the proof lapsed and is answered after it waits for the
// next one: the answer counts as of then. One from a server that is not the
// current one is never taken; whether what it was asked for has happened is not
// known then.
type conn struct {
	net.Conn
	e  *Endpoint
	of *server
	// Deadlines as Unix time in nanoseconds, 0 for none.
	readBy, writeBy atomic.Int64
}

func (e *Endpoint) wrap(c net.Conn, of *server) net.Conn { return &conn{Conn: c, e: e, of: of} }

// SyscallConn implements syscall.Conn. The client's pool asks for it before it
// uses an idle connection, to see whether that was closed: one that leads to
// another server than the current one is as good as that, and is given up before
// anything is sent over it. Under TLS there is nothing to see.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if !c.e.lasts(c.of) {
		return nil, c.e.refusal()
	}
	return resp.Socket(c.Conn)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.e.hold(c.of, timeOf(&c.writeBy)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	if err := c.e.hold(c.of, timeOf(&c.readBy)); err != nil {
		return 0, err
	}
	return n, nil
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	note(&c.readBy, t)
	note(&c.writeBy, t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	note(&c.readBy, t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	note(&c.writeBy, t)
	return c.Conn.SetWriteDeadline(t)
}

func note(to *atomic.Int64, t time.Time) {
	if t.IsZero() {
		to.Store(0)
		return
	}
	to.Store(t.UnixNano())
}

func timeOf(a *atomic.Int64) time.Time {
	if n := a.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// refusedConn is a connection that must not be used. The client learns so when it
// sends its first command: a dial that fails would have its pool pause for a
// second after a few of them.
type refusedConn struct {
	net.Conn
	why error
}

func (c *refusedConn) Write([]byte) (int, error)             { return 0, c.why }
func (c *refusedConn) Read([]byte) (int, error)              { return 0, c.why }
func (c *refusedConn) SyscallConn() (syscall.RawConn, error) { return nil, c.why } // as that of conn

// unmade is what a connection is that was never made.
type unmade struct{}

func (unmade) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (unmade) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (unmade) Close() error                     { return nil }
func (unmade) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (unmade) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (unmade) SetDeadline(time.Time) error      { return nil }
func (unmade) SetReadDeadline(time.Time) error  { return nil }
func (unmade) SetWriteDeadline(time.Time) error { return nil }

// dialTries is how often a client connects until it reaches the master that there is.
const dialTries = 4

// hook gives a client its connections, and looks at what it is answered.
type hook struct{ e *Endpoint }

// DialHook implements redis.Hook.
func (h *hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		e := h.e
		if e.running.Load() && e.current.Load() == nil {
			if err := e.known(); err != nil { // Run looks for the master; nobody else need
				return &refusedConn{unmade{}, err}, nil
			}
		}
		for try := 1; ; try++ {
			c, err := e.dial(ctx, func(ctx context.Context) (net.Conn, error) { return next(ctx, network, addr) })
			// A balanced address may lead to a replica, and to the master the next time.
			if refused, ok := c.(*refusedConn); ok && try < dialTries && e.Err() == nil && ctx.Err() == nil {
				if _, other := refused.why.(*NoMasterError); other {
					_ = c.Close()
					continue
				}
			}
			return c, err
		}
	}
}

// dial makes a connection for a client.
func (e *Endpoint) dial(ctx context.Context, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
	begun := e.now()
	c, err := next(ctx)
	if err != nil {
		return nil, err
	}
	sent := e.now()
	_, who, err := e.ask(ctx, c)
	if err == nil {
		var s *server
		if s, err = e.meet(who, begun, sent); err == nil {
			return e.wrap(c, s), nil
		}
	}
	switch err.(type) {
	case *NoMasterError, *RefusedError:
		return &refusedConn{c, err}, nil
	}
	_ = c.Close()
	return nil, err
}

// known says why there is no master, if that is known.
func (e *Endpoint) known() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// ProcessHook implements redis.Hook.
func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.look(err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err != nil {
			for _, cmd := range cmds {
				h.look(cmd.Err())
			}
		}
		return err
	}
}

// look looks for answers that no master gives.
func (h *hook) look(err error) {
	if err != nil && (redis.HasErrorPrefix(err, "READONLY") || redis.HasErrorPrefix(err, "MASTERDOWN")) {
		h.e.distrust()
	}
}
