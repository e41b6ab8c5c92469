package batch

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"weak"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// readsConn is a connection of the client. In the place of the client's command for
// a trip it sends the commands of that, and answers the client when all replies have
// come: the first that is an error, so that the client and its hooks see that.
type readsConn struct {
	net.Conn
	under *underWay
	// trip is under way; answer is what the client has not read yet.
	trip   *readTrip
	answer []byte
	// broken is why nothing can be read any more: what comes may belong to a trip that
	// was given up.
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
			c.answer = []byte("+OK\r\n")
		}
	}
	if len(c.answer) > 0 {
		n := copy(p, c.answer)
		c.answer = c.answer[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// SyscallConn implements syscall.Conn, by which the client sees whether an idle
// connection was closed. Under TLS there is nothing to see.
func (c *readsConn) SyscallConn() (syscall.RawConn, error) {
	return resp.Socket(c.Conn)
}

// underWay are the trips of reads that are under way over one client's connections,
// each in a place of its own. It is the hook that makes those readsConns.
type underWay struct {
	trips [mostReads]atomic.Pointer[readTrip]
}

// mostReads is how many trips of reads may be under way over one client.
const mostReads = 64

// hooks are the underWay of the clients that have one: weak.Pointer[redis.Client] → *underWay.
// All Reads over a client have the same, so that its connections are wrapped once.
var hooks sync.Map

func underWayOf(rdb *redis.Client) *underWay {
	key := weak.Make(rdb)
	have, was := hooks.LoadOrStore(key, new(underWay))
	u := have.(*underWay)
	if !was {
		rdb.AddHook(u)
		runtime.AddCleanup(rdb, func(key weak.Pointer[redis.Client]) { hooks.Delete(key) }, key)
	}
	return u
}

// hold gives a trip its place.
func (u *underWay) hold(t *readTrip) int {
	for {
		for i := range u.trips {
			if u.trips[i].CompareAndSwap(nil, t) {
				return i
			}
		}
		runtime.Gosched() // there are more than anybody makes
	}
}

// placeholder is what the client writes for a trip, without that one's place. Redis
// would answer the name.
const (
	placeholderName = "cloakroom-reads-"
	placeholder     = "*2\r\n$4\r\nping\r\n$17\r\n" + placeholderName
)

// command returns what the client takes the trip at a place for.
func command(ctx context.Context, t *readTrip, calls []*Call, place int) *Command {
	return &Command{redis.NewStatusCmd(ctx, "ping", placeholderName+string(rune('0'+place))), calls, t.commands}
}

// tripOf returns the trip that the client has written a command of; nil for any
// other bytes.
func (u *underWay) tripOf(p []byte) *readTrip {
	if len(p) != len(placeholder)+len("0\r\n") || string(p[:len(placeholder)]) != placeholder {
		return nil
	}
	place := int(p[len(placeholder)]) - '0'
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
