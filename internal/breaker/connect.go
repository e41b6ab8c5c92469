package breaker

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// serving is how long after its last answer a server counts as one that serves.
	serving = 300 * time.Millisecond
	// longestWait is how long a call waits for a connection that is open, at most.
	longestWait = time.Second
	// Between two looks for one the pause doubles from the first to the last.
	firstLook, lastLook = time.Millisecond, 16 * time.Millisecond
	// dialRest is how long nobody connects to a server that has refused a connection
	// because it has too many.
	dialRest = 100 * time.Millisecond
	// tellEvery is how often at most it is logged that it does.
	tellEvery = time.Minute
)

// errFull is the error of a connection that was refused because there are too many.
var errFull = errors.New("redis takes no further connections: max number of clients reached")

// dialError is a connection that could not be made: nothing was sent.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// connecting is what is known of a server's connections. Instants are Unix time
// in nanoseconds, 0 for never.
type connecting struct {
	answered atomic.Int64 // when a call was answered
	broke    atomic.Int64 // when a connection that was open failed
	full     atomic.Int64 // when a connection was refused because there are too many
	told     atomic.Int64 // when that was logged
	fault    atomic.Pointer[error]
}

// attempt is one try of a call to get to a server.
type attempt struct {
	node *node
	// full says that its new connection was refused because there are too many, so
	// that the call was not sent: the server takes nothing on such a connection.
	full atomic.Bool
}

// greeted takes what the greeting of a new connection was answered. The client
// tells nobody.
func (a *attempt) greeted(err error) {
	if isFull(err) {
		a.full.Store(true)
	}
}

// connected sends a call, and as long as there is no connection for it, but others
// are open and the server answers on those, waits for one and sends it then. So it
// does while the pool has all the connections that it may have, some of which are
// just being closed. What may have been sent is never sent again.
func (g *guard) connected(ctx context.Context, start time.Time, send func(context.Context) error) error {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		a := &attempt{node: g.node}
		err := send(context.WithValue(ctx, inside{}, a))
		if err == nil {
			return nil
		}
		full := isFull(err) || a.full.Load() && isLost(err)
		if full {
			g.node.full.Store(time.Now().UnixNano())
			g.tellFull()
			if !isFull(err) { // the client hides what the server said
				err = &dialError{errFull}
			}
		}
		again := (full || cannotConnect(err)) && g.node.serves() || errors.Is(err, redis.ErrPoolExhausted)
		if !again || time.Since(start) > longestWait || !wait(ctx, pause) {
			return err
		}
	}
}

// wait pauses, and says whether there is time left.
func wait(ctx context.Context, d time.Duration) bool {
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// DialHook implements redis.Hook.
func (g *guard) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if time.Since(time.Unix(0, g.node.full.Load())) < dialRest && g.node.serves() {
			return nil, &dialError{errFull}
		}
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, &dialError{err}
		}
		return c, nil
	}
}

// serves says that the server has answered a moment ago, and that no connection
// has failed since.
func (c *connecting) serves() bool {
	answered := c.answered.Load()
	return answered > c.broke.Load() && time.Since(time.Unix(0, answered)) < serving
}

// note takes the verdict on a call that has ended with err, and returns what it
// is worth: that there is no connection for it says nothing against a server
// that answers on others.
func (c *connecting) note(shown, err error) error {
	now := time.Now().UnixNano()
	switch {
	case shown == nil:
		c.answered.Store(now)
	case errors.Is(shown, errNothingShown):
	case !cannotConnect(err):
		c.broke.Store(now)
		c.fault.Store(&err)
	case c.serves():
		return errNothingShown
	default:
		c.fault.Store(&err)
	}
	return shown
}

// lastFault is the last failure; nil if there was none.
func (c *connecting) lastFault() error {
	if fault := c.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// tellFull logs that the server takes no further connections, now and then.
func (g *guard) tellFull() {
	now, told := time.Now().UnixNano(), g.node.told.Load()
	if now-told > int64(tellEvery) && g.node.told.CompareAndSwap(told, now) {
		g.all.log.Warn("redis takes no further connections: calls wait for those that are open; raise maxclients, or have fewer clients", "redis", g.name)
	}
}

// cannotConnect says that a call was not sent because no connection could be made.
func cannotConnect(err error) bool {
	var dial *dialError
	return errors.As(err, &dial) || isFull(err)
}

// isFull says that a server has refused a connection because it has too many.
func isFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), "max number of clients reached")
}

// isLost says that an error is one of a connection.
func isLost(err error) bool {
	_, answered := errors.AsType[redis.Error](err)
	return !answered
}
