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
	c      Config
	trip   func(ctx context.Context, calls ...T) (last redis.Cmder) // makes one round trip
	trips  sync.WaitGroup                                           // counts inFlight (I7)
	groups sync.Pool                                                // of *group[T], all of them empty

	mu       sync.Mutex
	waiting  []*group[T] // in the order in which they will be sent; callers join the last
	begun    []*group[T] // those that were sent
	lone     *lone       // of the caller that makes its own trip; nil if none does
	queued   int         // commands in waiting
	inFlight int         // 0 only if nothing waits
	watcher  *time.Timer // calls watch; nil until something is under way
	watched  bool        // it is set
	closed   bool
	sent     Stats // without Queued
}

// group is a batch from its first caller on. queue.mu guards it until it is no longer
// in waiting or begun.
type group[T any] struct {
	calls   []T
	callers []*caller // of each call, nil if it has left after the group was sent
	size    int       // how many commands these are
}

// caller waits for its group. One timer looks after the contexts of all callers: a timer
// and a select for each take 4 µs of a call's time.
type caller struct {
	ctx   context.Context
	size  int           // commands of its call
	woken chan struct{} // has room for one; what is below is set before
	last  redis.Cmder   // Config.Last's, or nil
	err   error         // why it does not wait any longer; nil if its call has ended
}

var callers = sync.Pool{New: func() any { return &caller{woken: make(chan struct{}, 1)} }}

// watchEvery is how often the queue looks whether the contexts of those who wait have
// ended.
const watchEvery = 2 * time.Millisecond

func (q *queue[T]) init(c Config, trip func(context.Context, ...T) redis.Cmder) {
	def := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	def(&c.MaxInFlight, 2)
	def(&c.MaxCommands, 256)
	def(&c.MaxQueued, 4096)
	c.Timeout = c.timeout()
	q.c, q.trip = c, trip
	q.groups.New = func() any { return new(group[T]) }
}

// do has a call of size commands sent, and waits until it is answered. An error says
// that it is not, and perhaps never will be.
func (q *queue[T]) do(ctx context.Context, call T, size int) (last redis.Cmder, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	deadline, has := ctx.Deadline()
	patient := !has || time.Until(deadline) >= q.c.Timeout
	me, alone, err := q.enter(ctx, call, size, patient)
	switch {
	case err != nil:
		return nil, err
	case alone != nil:
		tripsOf(ctx).add()
		return q.alone(alone, call), nil
	}
	<-me.woken
	if last, err = me.last, me.err; err == nil {
		tripsOf(ctx).add()
	}
	*me = caller{woken: me.woken}
	callers.Put(me)
	return last, err
}

// enter adds a call to the last group that waits, and sees to it that somebody
// sends it; or it returns the context in which the caller is to send it, alone.
func (q *queue[T]) enter(ctx context.Context, call T, size int, patient bool) (*caller, *lone, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, nil, ErrClosed
	}
	if size > q.c.MaxQueued-q.queued {
		q.sent.Refused++
		return nil, nil, ErrFull
	}
	defer q.watchFromNow()
	if patient && q.inFlight == 0 {
		q.sent.Calls++
		q.sent.Trips++
		q.inFlight++
		q.trips.Add(1)
		q.lone = newLone(ctx, q.c.Timeout)
		return nil, q.lone, nil
	}
	var g *group[T]
	if n := len(q.waiting); n > 0 {
		g = q.waiting[n-1]
	}
	if g == nil || g.size > 0 && g.size+size > q.c.MaxCommands {
		g = q.groups.Get().(*group[T])
		q.waiting = append(q.waiting, g)
	}
	me := callers.Get().(*caller)
	me.ctx, me.size = ctx, size
	g.calls, g.callers = append(g.calls, call), append(g.callers, me)
	g.size += size
	q.queued += size
	if q.inFlight < q.c.MaxInFlight {
		q.inFlight++
		q.trips.Add(1)
		go q.run()
	}
	return me, nil, nil
}

// watchFromNow sets the timer, if it is not. q.mu is held.
func (q *queue[T]) watchFromNow() {
	switch {
	case q.watcher == nil:
		q.watcher, q.watched = time.AfterFunc(watchEvery, q.watch), true
	case !q.watched:
		q.watcher.Reset(watchEvery)
		q.watched = true
	}
}

// watch wakes the callers whose contexts have ended, and takes back the calls that were
// not sent.
func (q *queue[T]) watch() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, g := range q.waiting {
		for i := len(g.callers) - 1; i >= 0; i-- {
			size := g.callers[i].size
			if g.callers[i].wakeIfEnded() { // it is another's from here on
				g.calls, g.callers = slices.Delete(g.calls, i, i+1), slices.Delete(g.callers, i, i+1)
				g.size -= size
				q.queued -= size
			}
		}
	}
	for _, g := range q.begun {
		for i, c := range g.callers {
			if c != nil && c.wakeIfEnded() {
				g.callers[i] = nil
			}
		}
	}
	if q.lone != nil {
		q.lone.endIfDue()
	}
	if q.watched = q.inFlight > 0; q.watched {
		q.watcher.Reset(watchEvery)
	}
}

// wakeIfEnded wakes c if its context has ended, and says whether it did.
func (c *caller) wakeIfEnded() bool {
	if c.err = c.ctx.Err(); c.err == nil {
		return false
	}
	c.woken <- struct{}{}
	return true
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
	q.begun = append(q.begun, g)
	if len(g.calls) > 0 {
		q.sent.Calls += uint64(len(g.calls))
		q.sent.Trips++
	}
	return g
}

// end wakes the callers of a group that next has begun, and gives its memory back.
func (q *queue[T]) end(g *group[T], last redis.Cmder) {
	q.mu.Lock()
	at := slices.Index(q.begun, g)
	q.begun = slices.Delete(q.begun, at, at+1)
	q.mu.Unlock()
	for _, c := range g.callers {
		if c != nil {
			c.last = last
			c.woken <- struct{}{}
		}
	}
	clear(g.calls)
	clear(g.callers)
	*g = group[T]{calls: g.calls[:0], callers: g.callers[:0]}
	q.groups.Put(g)
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
	q.trips.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watcher != nil { // I7: it looks once more at the most, and finds nothing
		q.watcher.Stop()
	}
}
