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
	// costly is the number of candidates above which a search waits for one of
	// the few places for such searches, and uses their connections.
	costly = 1000
	// maxCostlyAtOnce is how many costly searches run at a time at the most.
	maxCostlyAtOnce = 4
	// costlyQueue is how many wait for each place at the most. The costliest takes
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

// places are those for costly searches.
type places struct {
	free    *semaphore.Weighted
	queue   int64 // how many may wait
	waiting atomic.Int64
	running atomic.Int64
	took    atomic.Int64 // how long the last ones took, about, in ns
}

func newPlaces() *places {
	n := costlyAtOnce()
	return &places{free: semaphore.NewWeighted(int64(n)), queue: int64(n * costlyQueue)}
}

// enter waits for a place, or says at once that too many wait already. One that
// can not be expected to end before its caller's deadline is not begun either:
// Redis would do its work in vain, and all that wait behind it would be late,
// too. Who has entered must leave, and say when it began. (I10)
func (p *places) enter(ctx context.Context) (began time.Time, err error) {
	if !p.free.TryAcquire(1) {
		if err := p.wait(ctx); err != nil {
			return began, err
		}
	}
	p.running.Add(1)
	return time.Now(), nil
}

func (p *places) wait(ctx context.Context) error {
	defer p.waiting.Add(-1)
	if n := p.waiting.Add(1); n > p.queue || !p.inTime(ctx, n*costlyQueue/p.queue) {
		return ErrBusy
	}
	if err := p.free.Acquire(ctx, 1); err != nil {
		return err
	}
	if !p.inTime(ctx, 0) {
		p.free.Release(1)
		return ErrBusy
	}
	return nil
}

// inTime is whether a search that has so many others before it can end in time,
// if each takes as long as the last ones. Who finds a free place need not ask, so
// that it is measured again after any delay.
func (p *places) inTime(ctx context.Context, before int64) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > time.Duration((before+1)*p.took.Load())
}

func (p *places) leave(began time.Time) {
	took := p.took.Load() // of two that leave at a time one may not count
	p.took.Store(took + (int64(time.Since(began))-took)/4)
	p.running.Add(-1)
	p.free.Release(1)
}
