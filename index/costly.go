package index

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// costly is the number of candidates above which a search waits for one of
	// the few places for such searches, and uses their connections.
	costly = 1000
	// maxCostlyAtOnce is how many costly searches run at a time at the most.
	maxCostlyAtOnce = 4
	// costlyQueue is how many wait for each place. The costliest takes about
	// 100 ms, so that the last of them still has its answer within a second.
	costlyQueue = 4
	// costlyChunk is how many documents a costly search reads at a time: few, so
	// that what others ask Redis and this process meanwhile waits for few.
	costlyChunk = 50
)

// costlyAtOnce is how many costly searches run at a time: they leave half of the
// processors to others.
func costlyAtOnce() int { return max(1, min(maxCostlyAtOnce, runtime.GOMAXPROCS(0)/2)) }

// ErrBusy says that a costly search was not begun, because too many others wait
// for their turn. It may come again.
var ErrBusy = errors.New("too many costly searches wait for their turn")

// places are those for costly searches.
type places struct {
	free    *semaphore.Weighted
	queue   int64 // how many may wait
	waiting atomic.Int64
	running atomic.Int64
}

func newPlaces() *places {
	n := costlyAtOnce()
	return &places{free: semaphore.NewWeighted(int64(n)), queue: int64(n * costlyQueue)}
}

// enter waits for a place, or says at once that too many wait already. (I10)
func (p *places) enter(ctx context.Context) error {
	if p.free.TryAcquire(1) {
		p.running.Add(1)
		return nil
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.queue {
		return ErrBusy
	}
	if err := p.free.Acquire(ctx, 1); err != nil {
		return err
	}
	p.running.Add(1)
	return nil
}

func (p *places) leave() {
	p.running.Add(-1)
	p.free.Release(1)
}

// giveWay lets requests in that came meanwhile. Where Redis shares a processor
// with this process, its answer is often there when the read for it begins, so
// that a search may read thousands of documents without once waiting; and a
// goroutine that came from a wait for the network, and never waits again, leaves
// nobody who looks for what else the network brings, but for the runtime's own
// look every 10 ms. (I10) Without it a Get beside such a search took 7 ms at the
// 99th percentile, with it 1.5 ms (docs/benchmarks.md).
func giveWay() { runtime.Gosched() }
