package batch

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Reads shares round trips as a Batcher does, for reads that are frequent. A Batcher
// spends most of its time on the client's command objects. Here a trip is one command
// for the client, and the connection sends the commands of all callers in its place
// (readsConn). So the client does for a trip all that it does for a command: hooks,
// dialling, time-outs, pooling.
//
// Its methods may be called concurrently.
type Reads struct {
	queue[*Call]
	rdb   *redis.Client
	under *underWay
	pipes sync.Pool // of redis.Pipeliner, all of them empty
}

// NewReads returns Reads over rdb, whose connections it wraps from now on. It must be
// closed before rdb is. Redis must push nothing over these connections (no tracking,
// no subscriptions, no maintenance notifications): a push breaks its connection. The
// client repeats no trip that failed. Config.Last is not used.
func NewReads(rdb *redis.Client, c Config) *Reads {
	r := &Reads{rdb: rdb, under: underWayOf(rdb)}
	r.pipes.New = func() any { return rdb.Pipeline() }
	r.queue.init(c, r.send)
	return r
}

// Do sends the commands of c in one batch, side by side and in their order, and
// waits for their replies. Its error says why there are none; an error that Redis
// answers is a reply. Everything else is as with Batcher.Do.
func (r *Reads) Do(ctx context.Context, c *Call) error { return doReads(ctx, &r.queue, c) }

func doReads(ctx context.Context, q *queue[*Call], c *Call) error {
	if c.commands == 0 {
		return ctx.Err()
	}
	c.err = nil
	if _, err := q.do(ctx, c, c.commands); err != nil {
		c.lost = err != ErrFull && err != ErrClosed
		return err
	}
	return c.err
}

// send makes one round trip. After it each call has its replies or an error. (I2)
func (r *Reads) send(ctx context.Context, calls ...*Call) redis.Cmder {
	t := readTrips.Get().(*readTrip)
	t.begin(calls)
	t.end(r.process(ctx, t))
	readTrips.Put(t)
	return nil
}

// process has the client send a trip, as a pipeline of one command. Connections that
// were made before they were wrapped are given up: they send the client's command as
// it is, and Redis answers it.
func (r *Reads) process(ctx context.Context, t *readTrip) error {
	place := r.under.hold(t)
	defer r.under.trips[place].Store(nil)
	pipe := r.pipes.Get().(redis.Pipeliner)
	_ = pipe.Process(ctx, r.under.command(ctx, t, place)) // only takes it
	_, err := pipe.Exec(ctx)
	r.pipes.Put(pipe)
	for range oldConns {
		if err != nil || t.whole() {
			return err
		}
		conn := r.rdb.EphemeralConn() // closing it gives it up
		pipe := conn.Pipeline()
		_ = pipe.Process(ctx, r.under.command(ctx, t, place))
		_, err = pipe.Exec(ctx)
		err = errors.Join(err, conn.Close())
	}
	return errors.New("the pool has too many connections that were made before reads shared them")
}

// oldConns bounds how many connections are given up in a row.
const oldConns = 100

// Command stands for a trip in the client. Its name and its arguments are not those of
// the commands that are sent: hooks that look at these ask Keys, or Sent.
type Command struct {
	*redis.StatusCmd
	calls []*Call
}

// NoRetry implements redis.Cmder: a trip is sent once, however the client is configured.
func (*Command) NoRetry() bool { return true }

// Keys yields the keys of the commands, which share memory that is used again.
func (c *Command) Keys(yield func(key string) bool) {
	for _, call := range c.calls {
		for _, m := range call.marks {
			if !yield(textIn(call.out[m.key:m.keyEnd])) {
				return
			}
		}
	}
}

// CommandsOf returns how many commands are sent for one of the client's.
func CommandsOf(cmd redis.Cmder) int {
	c, ok := cmd.(*Command)
	if !ok {
		return 1
	}
	n := 0
	for _, call := range c.calls {
		n += call.commands
	}
	return n
}

// Sent returns the commands that are sent for one of the client's, without their
// replies if it is a Command: for hooks of tests.
func Sent(cmd redis.Cmder) (cmds []redis.Cmder) {
	c, ok := cmd.(*Command)
	if !ok {
		return []redis.Cmder{cmd}
	}
	for _, call := range c.calls {
		for i := range call.marks {
			cmds = append(cmds, redis.NewCmd(context.Background(), call.args(i)...))
		}
	}
	return cmds
}
