package batch

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Asker sends n commands over a connection of its own, and gives their replies to take, in
// their order. It returns when all have come, or with an error when none will any more.
type Asker interface {
	Ask(ctx context.Context, commands []byte, n int, take func(reply []byte)) error
}

// LinkReads is Reads over the one connection of an Asker.
type LinkReads struct {
	queue[*Call]
	to Asker
}

// NewLinkReads returns LinkReads over to. Config.Last is not used.
func NewLinkReads(to Asker, c Config) *LinkReads {
	r := &LinkReads{to: to}
	r.queue.init(c, r.send)
	return r
}

// Do is as Reads.Do, but an error that Redis answers is Do's error, too.
func (r *LinkReads) Do(ctx context.Context, c *Call) error {
	if err := doReads(ctx, &r.queue, c); err != nil {
		return err
	}
	if c.refused {
		return errors.New("redis refuses a read over the connection for invalidations")
	}
	return nil
}

// send makes one round trip. After it each call has its replies or an error. (I2)
func (r *LinkReads) send(ctx context.Context, calls ...*Call) redis.Cmder {
	t := readTrips.Get().(*readTrip)
	t.begin(calls)
	n := 0
	for _, c := range calls {
		n += c.commands
	}
	t.end(r.to.Ask(ctx, t.out, n, t.give))
	readTrips.Put(t)
	return nil
}

// Doer reads, as Reads does.
type Doer interface {
	Do(ctx context.Context, c *Call) error
}

// Spread has each command of a call read by what of returns for its key, all side by side.
// An error of of is its error, and then nothing is read.
func Spread[D interface {
	comparable
	Doer
}](ctx context.Context, call *Call, of func(key string) (D, error)) error {
	var few [4]D
	to, at, err := split(few[:0], call, of)
	switch {
	case err != nil:
		return err
	case len(to) == 0:
		return ctx.Err()
	case len(to) == 1:
		return to[0].Do(ctx, call)
	}
	return apart(ctx, to, at, call)
}
