package batch

import (
	"context"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"
)

// alone makes the trip of a caller that found no other under way. Callers that came
// meanwhile are for a goroutine, so that this caller can go on.
func (q *queue[T]) alone(l *lone, call T) (last redis.Cmder) {
	defer func() { // after a panic too, which is the caller's to recover
		q.mu.Lock()
		defer q.mu.Unlock()
		q.lone = nil
		if len(q.waiting) > 0 {
			go q.run()
			return
		}
		q.inFlight--
		q.trips.Done()
	}()
	return q.trip(l, call)
}

// lone is the context of a caller that makes its own trip, with the deadline of
// a batch instead of its own, which is further away: what bounds a connection
// is never a caller's. When the caller's ends, or that deadline passes, it does
// end a wait for a connection, which harms none. The queue's timer looks after it.
type lone struct {
	context.Context
	deadline time.Time
	done     chan struct{}
	err      error // why it has ended; set before done is closed
}

func newLone(ctx context.Context, timeout time.Duration) *lone {
	return &lone{Context: ctx, deadline: time.Now().Add(timeout), done: make(chan struct{})}
}

func (l *lone) Deadline() (time.Time, bool) { return l.deadline, true }
func (l *lone) Done() <-chan struct{}       { return l.done }

func (l *lone) Err() error {
	select {
	case <-l.done:
		return l.err
	default:
		return nil
	}
}

// endIfDue ends l if the caller's context has ended, or its own deadline has passed. The
// queue calls it, with its lock held.
func (l *lone) endIfDue() {
	if l.err != nil {
		return
	}
	if l.err = l.Context.Err(); l.err == nil && !time.Now().Before(l.deadline) {
		l.err = context.DeadlineExceeded
	}
	if l.err != nil {
		close(l.done)
	}
}

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
