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
	queue[[]redis.Cmder]
	pipes sync.Pool // of redis.Pipeliner, all of them empty
}

// New returns a Batcher over rdb. It must be closed before rdb is.
func New(rdb Redis, c Config) *Batcher {
	b := &Batcher{}
	b.pipes.New = func() any { return rdb.Pipeline() }
	b.queue.init(c, b.send)
	return b
}

// Do sends cmds in one batch, side by side and in their order, and waits for
// their replies. It returns the first of their own errors that is not
// redis.Nil; each command has its own. Errors of others' commands in the batch
// stay with those, but a network error, or the batch's time-out, is everybody's.
//
// If ctx ends first, Do returns ctx.Err() a few milliseconds later, and nothing happens
// to the connection: cmds that were not sent never will be; those that were belong to
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
	if len(cmds) == 0 {
		return nil, ctx.Err()
	}
	if last, err = b.do(ctx, cmds, len(cmds)); err != nil {
		return nil, err
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

// send makes one round trip. After it each command has its reply or an error,
// as has the last one, if there is one. (I2)
func (b *Batcher) send(ctx context.Context, calls ...[]redis.Cmder) (last redis.Cmder) {
	pipe := b.pipes.Get().(redis.Pipeliner)
	for _, cmds := range calls {
		_ = pipe.BatchProcess(ctx, cmds...) // only takes them
	}
	if b.c.Last != nil {
		last = b.c.Last()
		_ = pipe.Process(ctx, last)
	}
	cmds, err := pipe.Exec(ctx)
	b.pipes.Put(pipe)
	if err == nil || slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return last
	}
	for _, cmd := range cmds { // a client's hook failed and told none of them
		cmd.SetErr(err)
	}
	return last
}
