package batch

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// alone makes the trip of a caller that found no other under way. Callers that came
// meanwhile are for a goroutine, so that this caller can go on.
func (b *Batcher) alone(ctx context.Context, cmds []redis.Cmder) (last redis.Cmder) {
	defer func() { // after a panic too, which is the caller's to recover
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.waiting) > 0 {
			go b.run()
			return
		}
		b.inFlight--
		b.trips.Done()
	}()
	return b.send(&lone{ctx, time.Now().Add(b.c.Timeout)}, cmds)
}

// lone is the context of a caller that makes its own trip, with the deadline of
// a batch instead of its own, which is further away: what bounds a connection
// is never a caller's. It needs no timer, and when the caller's ends it does
// end a wait for a connection, which harms none.
type lone struct {
	context.Context
	deadline time.Time
}

func (l *lone) Deadline() (time.Time, bool) { return l.deadline, true }

// run sends one group after the other until none waits.
func (b *Batcher) run() {
	defer b.trips.Done()
	for {
		// Those whom the last batch woke come with their next commands. Without
		// this the first of them would be sent alone: with 8 callers an operation
		// takes a third less.
		runtime.Gosched()
		g := b.next()
		if g == nil {
			return
		}
		if len(g.cmds) > 0 { // else all of its callers have left
			ctx, cancel := context.WithTimeout(context.Background(), b.c.Timeout)
			g.last = b.send(ctx, g.cmds)
			cancel()
		}
		close(g.done)
	}
}

// next begins the group that has waited longest. If there is none, the runner
// that asks is no longer under way.
func (b *Batcher) next() *group {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.inFlight--
		return nil
	}
	g := b.waiting[0]
	b.waiting = slices.Delete(b.waiting, 0, 1)
	b.queued -= len(g.cmds)
	g.begun = true
	if g.calls > 0 {
		b.sent.Calls += uint64(g.calls)
		b.sent.Trips++
	}
	return g
}

// send makes one round trip. After it each command has its reply or an error,
// as has the last one, if there is one. (I2)
func (b *Batcher) send(ctx context.Context, cmds []redis.Cmder) (last redis.Cmder) {
	if b.c.Last != nil {
		last = b.c.Last()
		cmds = append(slices.Clip(cmds), last)
	}
	pipe := b.pipes.Get().(redis.Pipeliner)
	_ = pipe.BatchProcess(ctx, cmds...) // only takes them
	_, err := pipe.Exec(ctx)
	b.pipes.Put(pipe)
	if err == nil || slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return last
	}
	for _, cmd := range cmds { // a client's hook failed and told none of them
		cmd.SetErr(err)
	}
	return last
}
