package batch

import (
	"context"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"
)

// alone makes the trip of a caller that found no other under way. Callers that came
// meanwhile are for a goroutine, so that this caller can go on.
func (q *queue[T]) alone(ctx context.Context, call T) (last redis.Cmder) {
	defer func() { // after a panic too, which is the caller's to recover
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.waiting) > 0 {
			go q.run()
			return
		}
		q.inFlight--
		q.trips.Done()
	}()
	return q.trip(&lone{ctx, time.Now().Add(q.c.Timeout)}, call)
}

// lone is the context of a caller that makes its own trip, with the deadline of
// a batch instead of its own, which is further away: what bounds a connection
// is never a caller's. It never ends, so that nobody makes a timer for it: the
// connection has the deadline, and the client bounds the wait for one.
type lone struct {
	context.Context
	deadline time.Time
}

func (l *lone) Deadline() (time.Time, bool) { return l.deadline, true }
func (l *lone) Done() <-chan struct{}       { return nil }
func (l *lone) Err() error                  { return nil }

// run sends one group after the other until none waits.
func (q *queue[T]) run() {
	defer q.trips.Done()
	for {
		// Those whom the last batch woke come with their next commands. Without
		// this the first of them would be sent alone: with 8 callers an operation
		// takes a third less.
		runtime.Gosched()
		g := q.next()
		if g == nil {
			return
		}
		var last redis.Cmder
		if len(g.calls) > 0 { // else all of its callers have left
			ctx, cancel := context.WithTimeout(context.Background(), q.c.Timeout)
			last = q.trip(ctx, g.calls...)
			cancel()
		}
		q.end(g, last)
	}
}
