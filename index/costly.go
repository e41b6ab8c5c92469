package index

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// costly is the number of candidates above which a search waits for one of
	// the few places for such searches, and uses their connections.
	costly = 1000
	// costlyAtOnce is how many costly searches run at a time.
	costlyAtOnce = 4
	// costlyQueue is how many wait for a place. Each takes some 100 ms at the
	// most, so that the last of them still has its answer within a second.
	costlyQueue = 16
)

// ErrBusy says that a costly search was not begun, because too many others wait
// for their turn. It may come again.
var ErrBusy = errors.New("too many costly searches wait for their turn")

// places are those for costly searches.
type places struct {
	free    *semaphore.Weighted
	waiting atomic.Int64
}

func newPlaces() *places { return &places{free: semaphore.NewWeighted(costlyAtOnce)} }

// enter waits for a place, or says at once that too many wait already. (I10)
func (p *places) enter(ctx context.Context) error {
	if p.free.TryAcquire(1) {
		return nil
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > costlyQueue {
		return ErrBusy
	}
	return p.free.Acquire(ctx, 1)
}

func (p *places) leave() { p.free.Release(1) }
