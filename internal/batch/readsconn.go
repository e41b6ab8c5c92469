package batch

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"weak"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// readsConn is a connection of the client. It sends the commands of a trip in the place
// of the client's command for it. When all replies have come, it answers the client
// with an error that is one of them, if there is one, so that the client and its hooks
// see it.
type readsConn struct {
	net.Conn
	under *underWay
	// trip is the one that was sent, until its replies have come.
	trip *readTrip
	// answer is the part of the answer that the client has not read yet.
	answer []byte
	// broken says why nothing can be read any more: the next reply may belong to a trip
	// that was given up.
	broken error
}

// Write implements net.Conn.
func (c *readsConn) Write(p []byte) (int, error) {
	t := c.under.tripOf(p)
	switch {
	case c.broken != nil:
		return 0, c.broken
	case t == nil:
		return c.Conn.Write(p)
	}
	t.restart() // the client may send it again, whatever NoRetry says
	c.trip = t
	if _, c.broken = c.Conn.Write(t.out); c.broken != nil {
		return 0, c.broken
	}
	return len(p), nil
}

// Read implements net.Conn.
func (c *readsConn) Read(p []byte) (int, error) {
	if c.broken != nil {
		return 0, c.broken
	}
	if t := c.trip; t != nil {
		c.trip = nil
		if c.broken = t.read(c.Conn); c.broken != nil {
			return 0, c.broken
		}
		if c.answer = t.refused; c.answer == nil {
			c.answer = okReply
		}
	}
	if len(c.answer) > 0 {
		n := copy(p, c.answer)
		if c.answer = c.answer[n:]; len(c.answer) == 0 {
			c.answer = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

var okReply = []byte("+OK\r\n") // never written to

// SyscallConn implements syscall.Conn, by which the client sees whether an idle
// connection was closed. Under TLS there is nothing to see.
func (c *readsConn) SyscallConn() (syscall.RawConn, error) {
	return resp.Socket(c.Conn)
}

// underWay are the trips of reads that are under way over one client's connections,
// each in a place of its own. It is the hook that makes its connections readsConns.
type underWay struct {
	trips [mostReads]atomic.Pointer[readTrip]
	// args are the client's commands for the places. Connections tell them from other
	// commands by their bytes, which begin with placeholder; no other client has the same.
	args        [mostReads][]any
	placeholder []byte
}

// mostReads is how many trips of reads may be under way over one client.
const mostReads = 64

var (
	// hooks has the underWay of each client that has one: weak.Pointer[redis.Client] → *underWay.
	// All Reads over a client have the same, so that its connections are wrapped once.
	hooks sync.Map
	// made counts them.
	made atomic.Uint32
)

func newUnderWay() *underWay {
	name := fmt.Sprintf("cloakroom-reads-%08x-", made.Add(1))
	u := &underWay{placeholder: fmt.Appendf(nil, "*2\r\n$4\r\nping\r\n$%d\r\n%s", len(name)+1, name)} // Redis would answer the name
	for i := range u.args {
		u.args[i] = []any{"ping", name + string(rune('0'+i))}
	}
	return u
}

func underWayOf(rdb *redis.Client) *underWay {
	key := weak.Make(rdb)
	have, was := hooks.Load(key)
	if !was {
		if have, was = hooks.LoadOrStore(key, newUnderWay()); !was {
			rdb.AddHook(have.(*underWay))
			runtime.AddCleanup(rdb, func(key weak.Pointer[redis.Client]) { hooks.Delete(key) }, key)
		}
	}
	return have.(*underWay)
}

// hold gives a trip its place.
func (u *underWay) hold(t *readTrip) int {
	for {
		for i := range u.trips {
			if u.trips[i].CompareAndSwap(nil, t) {
				return i
			}
		}
		runtime.Gosched() // there are more than anybody makes, and each ends
	}
}

// command returns the client's command for the trip at a place.
func (u *underWay) command(ctx context.Context, t *readTrip, place int) *Command {
	return &Command{redis.NewStatusCmd(ctx, u.args[place]...), t.calls}
}

// tripOf returns the trip that the client has written the command for; nil for any
// other bytes.
func (u *underWay) tripOf(p []byte) *readTrip {
	at := len(u.placeholder)
	if len(p) != at+len("0\r\n") || !bytes.Equal(p[:at], u.placeholder) {
		return nil
	}
	place := int(p[at]) - '0'
	if place < 0 || place >= mostReads {
		return nil
	}
	return u.trips[place].Load()
}

// DialHook implements redis.Hook.
func (u *underWay) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &readsConn{Conn: conn, under: u}, nil
	}
}

// ProcessHook implements redis.Hook.
func (*underWay) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (*underWay) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
