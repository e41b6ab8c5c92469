package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// queue gathers the calls of concurrent callers into batches: what Batcher and
// Reads have in common. T is what one caller brings.
type queue[T any] struct {
	c     Config
	trip  func(ctx context.Context, calls ...T) (last redis.Cmder) // makes one round trip
	same  func(a, b T) bool
	trips sync.WaitGroup // counts inFlight (I7)

	mu       sync.Mutex
	waiting  []*group[T] // in the order in which they will be sent; callers join the last
	queued   int         // commands in waiting
	inFlight int         // 0 only if nothing waits
	closed   bool
	sent     Stats // without Queued
}

// group is a batch from its first caller on.
type group[T any] struct {
	calls []T           // guarded by queue.mu until begun
	size  int           // how many commands these are; guarded by queue.mu
	begun bool          // guarded by queue.mu
	done  chan struct{} // closed when every command has its reply or an error
	last  redis.Cmder   // Config.Last's, or nil; set before done is closed
}

func (q *queue[T]) init(c Config, trip func(context.Context, ...T) redis.Cmder, same func(a, b T) bool) {
	def := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	def(&c.MaxInFlight, 2)
	def(&c.MaxCommands, 256)
	def(&c.MaxQueued, 4096)
	c.Timeout = c.timeout()
	q.c, q.trip, q.same = c, trip, same
}

// do has a call of size commands sent, and waits until it is answered. Its error
// says that it was not, or not yet.
func (q *queue[T]) do(ctx context.Context, call T, size int) (last redis.Cmder, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	deadline, has := ctx.Deadline()
	patient := !has || time.Until(deadline) >= q.c.Timeout
	g, err := q.enter(call, size, patient)
	switch {
	case err != nil:
		return nil, err
	case g == nil:
		return q.alone(ctx, call), nil
	}
	select {
	case <-g.done:
		return g.last, nil
	case <-ctx.Done():
		q.leave(g, call, size)
		return nil, ctx.Err()
	}
}

// enter adds a call to the last group that waits, and sees to it that somebody
// sends it. It returns no group if the caller is to send it, alone.
func (q *queue[T]) enter(call T, size int, patient bool) (*group[T], error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	if size > q.c.MaxQueued-q.queued {
		q.sent.Refused++
		return nil, ErrFull
	}
	if patient && q.inFlight == 0 {
		q.sent.Calls++
		q.sent.Trips++
		q.inFlight++
		q.trips.Add(1)
		return nil, nil
	}
	var g *group[T]
	if n := len(q.waiting); n > 0 {
		g = q.waiting[n-1]
	}
	if g == nil || g.size > 0 && g.size+size > q.c.MaxCommands {
		g = &group[T]{done: make(chan struct{})}
		q.waiting = append(q.waiting, g)
	}
	g.calls = append(g.calls, call)
	g.size += size
	q.queued += size
	if q.inFlight < q.c.MaxInFlight {
		q.inFlight++
		q.trips.Add(1)
		go q.run()
	}
	return g, nil
}

// leave takes a call back if its batch has not begun.
func (q *queue[T]) leave(g *group[T], call T, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if g.begun {
		return
	}
	i := slices.IndexFunc(g.calls, func(c T) bool { return q.same(c, call) })
	g.calls = slices.Delete(g.calls, i, i+1)
	g.size -= size
	q.queued -= size
}

// next begins the group that has waited longest. If there is none, the runner
// that asks is no longer under way.
func (q *queue[T]) next() *group[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.inFlight--
		return nil
	}
	g := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	q.queued -= g.size
	g.begun = true
	if len(g.calls) > 0 {
		q.sent.Calls += uint64(len(g.calls))
		q.sent.Trips++
	}
	return g
}

// retire closes q if nothing is under way, and says whether it did.
func (q *queue[T]) retire() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inFlight == 0 {
		q.closed = true
	}
	return q.closed
}

// Close makes Do answer ErrClosed from now on, and returns when all batches
// have ended, those that wait included.
func (q *queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.trips.Wait() // I7
}
