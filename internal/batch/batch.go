// Package batch lets commands of concurrent callers share round trips to Redis.
//
// It is group commit: while fewer than Config.MaxInFlight batches are under
// way, commands are sent at once; otherwise they wait, and the next batch that
// ends makes room for all of them together. So a lone caller waits for nobody,
// and the more callers there are, the more of them share a write, a read and a
// wake-up of Redis.
package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What Do answers at once, without sending anything.
var (
	ErrFull   = errors.New("too many commands wait for Redis")
	ErrClosed = errors.New("no more commands for Redis are taken")
)

// Redis is what a Batcher needs of a client. Whether a batch that failed is
// repeated is the client's setting; it should not be (MaxRetries: -1).
type Redis interface {
	Pipeline() redis.Pipeliner
}

// Config bounds a Batcher. What is 0 gets its default.
type Config struct {
	// MaxInFlight is how many batches are under way at a time, each on a
	// connection of its own. Default 2.
	MaxInFlight int
	// MaxCommands is how many commands one batch has at most, unless a single
	// caller brings more. Default 256.
	MaxCommands int
	// MaxQueued is how many commands wait at most, and so how many one caller
	// can bring. Default 4096.
	MaxQueued int
	// Timeout bounds a batch: one that it ends fails, with its connection.
	// Callers' deadlines should be further away, see Do. Default 500 ms.
	//
	// On the socket it counts only if the client has ContextTimeoutEnabled; the
	// client's own time-outs count as well.
	Timeout time.Duration
	// Last makes the command that is sent behind all of a batch, for its
	// connection; nil sends none. DoLast returns it. It may block for less than
	// Timeout.
	Last func() redis.Cmder
}

func (c *Config) timeout() time.Duration {
	if c.Timeout <= 0 {
		return 500 * time.Millisecond
	}
	return c.Timeout
}

// Batcher sends commands to Redis in batches. Its methods may be called
// concurrently. It has goroutines only while batches are under way.
type Batcher struct {
	c     Config
	pipes sync.Pool      // of redis.Pipeliner, all of them empty
	trips sync.WaitGroup // counts inFlight (I7)

	mu       sync.Mutex
	waiting  []*group // in the order in which they will be sent; callers join the last
	queued   int      // commands in waiting
	inFlight int      // 0 only if nothing waits
	closed   bool
	sent     Stats // except Queued
}

// group is a batch from its first caller on.
type group struct {
	cmds  []redis.Cmder // guarded by Batcher.mu until begun
	calls int           // whose cmds these are; guarded by Batcher.mu
	begun bool          // guarded by Batcher.mu
	done  chan struct{} // closed when every command has its reply or an error
	last  redis.Cmder   // Config.Last's, or nil; set before done is closed
}

// New returns a Batcher over rdb. It must be closed before rdb is.
func New(rdb Redis, c Config) *Batcher {
	def := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	def(&c.MaxInFlight, 2)
	def(&c.MaxCommands, 256)
	def(&c.MaxQueued, 4096)
	c.Timeout = c.timeout()
	b := &Batcher{c: c}
	b.pipes.New = func() any { return rdb.Pipeline() }
	return b
}

// Do sends cmds in one batch, side by side and in their order, and waits for
// their replies. It returns the first of their own errors that is not
// redis.Nil; each command has its own. Errors of others' commands in the batch
// stay with those, but a network error, or the batch's time-out, is everybody's.
//
// If ctx ends first, Do returns ctx.Err() at once, and nothing happens to the
// connection: cmds that were not sent never will be; those that were belong to
// the batch from then on, as do their arguments. The caller must not look at
// them again, nor change what they refer to.
//
// A caller that finds no batch under way, and whose deadline, if any, is not
// before a batch's, makes the trip itself, which spares two wake-ups. Such a
// caller notices that ctx is cancelled only while it waits for a connection; at
// the latest it returns when the batch ends.
//
// An error that is context.DeadlineExceeded can be the batch's: ctx.Err() tells.
// ErrFull and ErrClosed say that nothing was sent.
//
// Arguments must be what go-redis can write (strings, numbers, …): one that it
// cannot write fails its batch. Commands that block, or change the state of
// their connection, have no place here.
func (b *Batcher) Do(ctx context.Context, cmds ...redis.Cmder) error {
	_, err := b.DoLast(ctx, cmds...)
	return err
}

// DoLast is Do that returns the batch's last command too, with its reply or
// error, which is not among those that it returns as err. Others of the batch
// have the same one. It is nil if the caller's commands were not sent, or are
// not answered yet.
func (b *Batcher) DoLast(ctx context.Context, cmds ...redis.Cmder) (last redis.Cmder, err error) {
	if err := ctx.Err(); err != nil || len(cmds) == 0 {
		return nil, err
	}
	deadline, has := ctx.Deadline()
	patient := !has || time.Until(deadline) >= b.c.Timeout
	g, err := b.enter(cmds, patient)
	switch {
	case err != nil:
		return nil, err
	case g == nil:
		last = b.alone(ctx, cmds)
	default:
		select {
		case <-g.done:
			last = g.last
		case <-ctx.Done():
			b.leave(g, cmds)
			return nil, ctx.Err()
		}
	}
	return last, firstError(cmds)
}

// firstError returns the first error that is not redis.Nil.
func firstError(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// enter adds cmds to the last group that waits, and sees to it that somebody
// sends it. It returns no group if the caller is to send cmds, alone.
func (b *Batcher) enter(cmds []redis.Cmder, patient bool) (*group, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	if len(cmds) > b.c.MaxQueued-b.queued {
		b.sent.Refused++
		return nil, ErrFull
	}
	if patient && b.inFlight == 0 {
		b.sent.Calls++
		b.sent.Trips++
		b.inFlight++
		b.trips.Add(1)
		return nil, nil
	}
	var g *group
	if n := len(b.waiting); n > 0 {
		g = b.waiting[n-1]
	}
	if g == nil || len(g.cmds) > 0 && len(g.cmds)+len(cmds) > b.c.MaxCommands {
		g = &group{done: make(chan struct{})}
		b.waiting = append(b.waiting, g)
	}
	g.cmds = append(g.cmds, cmds...)
	g.calls++
	b.queued += len(cmds)
	if b.inFlight < b.c.MaxInFlight {
		b.inFlight++
		b.trips.Add(1)
		go b.run()
	}
	return g, nil
}

// leave takes cmds back if their batch has not begun.
func (b *Batcher) leave(g *group, cmds []redis.Cmder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g.begun {
		return
	}
	i := slices.Index(g.cmds, cmds[0])
	g.cmds = slices.Delete(g.cmds, i, i+len(cmds))
	g.calls--
	b.queued -= len(cmds)
}

// retire closes b if nothing is under way, and says whether it did.
func (b *Batcher) retire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inFlight == 0 {
		b.closed = true
	}
	return b.closed
}

// Close makes Do answer ErrClosed from now on, and returns when all batches
// have ended, those that wait included.
func (b *Batcher) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.trips.Wait() // I7
}
