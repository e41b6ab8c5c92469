package batch

import (
	"context"
	"runtime"
	"slices"

	"github.com/redis/go-redis/v9"
)

// alone makes the trip of a caller that found no other under way. Whoever came
// meanwhile is for a goroutine, so that this caller can go on.
func (b *Batcher) alone(cmds []redis.Cmder) {
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
	b.send(cmds)
}

// run sends one group after the other until none waits.
func (b *Batcher) run() {
	defer b.trips.Done()
	for {
		// Those whom the last batch woke come with their next commands. Without
		// this the first of them would be sent alone: with 8 callers it is worth
		// a third of the throughput.
		runtime.Gosched()
		g := b.next()
		if g == nil {
			return
		}
		b.send(g.cmds)
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
	return g
}

// send makes one round trip, which no caller's context ends. After it each
// command has its reply or an error. (I2)
func (b *Batcher) send(cmds []redis.Cmder) {
	if len(cmds) == 0 { // all callers have left
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.c.Timeout)
	defer cancel()
	pipe := b.pipes.Get().(redis.Pipeliner)
	_ = pipe.BatchProcess(ctx, cmds...) // only takes them
	_, err := pipe.Exec(ctx)
	b.pipes.Put(pipe)
	if err == nil || slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return
	}
	for _, cmd := range cmds { // a client's hook failed and told none of them
		cmd.SetErr(err)
	}
}
