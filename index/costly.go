package index

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// costly is the number of candidates above which a search counts as costly: few
	// of these run at a time, and they use connections of their own.
	costly = 1000
	// maxCostlyAtOnce is how many costly searches run at a time at the most.
	maxCostlyAtOnce = 4
	// costlyQueue is how many may wait for each one that runs. The costliest takes
	// about 100 ms where the processor is its own: then the last of them still has
	// its answer within a second. Where it takes longer, fewer wait.
	costlyQueue = 4
	// costlyChunk is how many documents a costly search reads at a time: few, so
	// that what others ask Redis and this process meanwhile waits for few.
	costlyChunk = 50
)

// costlyAtOnce is how many costly searches run at a time: they leave half of the
// processors to others.
func costlyAtOnce() int { return max(1, min(maxCostlyAtOnce, runtime.GOMAXPROCS(0)/2)) }

// ErrBusy says that a costly search was not begun, because too many others wait
// for their turn, or because it would not end in its time. It may come again.
var ErrBusy = errors.New("too many costly searches wait for their turn")

// limiter lets few costly searches run at a time, and few more wait.
type limiter struct {
	free    *semaphore.Weighted
	queue   int64 // how many may wait
	waiting atomic.Int64
	running atomic.Int64
	took    atomic.Int64 // how long the last ones took, about, in ns
}

func newLimiter() *limiter {
	n := costlyAtOnce()
	return &limiter{free: semaphore.NewWeighted(int64(n)), queue: int64(n * costlyQueue)}
}

// enter waits until the search may run, or answers ErrBusy at once if too many wait
// already. A search that cannot be expected to end before its caller's deadline is
// refused too: Redis would work in vain, and all that wait behind it would be late.
// Each enter without an error needs a leave, which is told when it began. (I10)
func (l *limiter) enter(ctx context.Context) (began time.Time, err error) {
	if !l.free.TryAcquire(1) {
		if err := l.wait(ctx); err != nil {
			return began, err
		}
	}
	l.running.Add(1)
	return time.Now(), nil
}

func (l *limiter) wait(ctx context.Context) error {
	defer l.waiting.Add(-1)
	if n := l.waiting.Add(1); n > l.queue || !l.inTime(ctx, n*costlyQueue/l.queue) {
		return ErrBusy
	}
	if err := l.free.Acquire(ctx, 1); err != nil {
		return err
	}
	if !l.inTime(ctx, 0) {
		l.free.Release(1)
		return ErrBusy
	}
	return nil
}

// inTime is whether a search with so many others before it can end in time, if each
// takes as long as the last ones. A search that need not wait does not ask, so that
// the time is measured again after any delay.
func (l *limiter) inTime(ctx context.Context, before int64) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > time.Duration((before+1)*l.took.Load())
}

func (l *limiter) leave(began time.Time) {
	took := l.took.Load() // of two that leave at a time one may not count
	l.took.Store(took + (int64(time.Since(began))-took)/4)
	l.running.Add(-1)
	l.free.Release(1)
}
