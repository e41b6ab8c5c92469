package upstream

import (
	"context"
	"sync/atomic"
)

// places are for calls that are under way. Who finds none waits, first come, first served, unless
// too many wait already.
type places struct {
	taken   chan struct{}
	waiting atomic.Int64
	most    int64 // that wait
}

func newPlaces(calls, waiting int) places {
	return places{taken: make(chan struct{}, calls), most: int64(waiting)}
}

// take takes a place, which the caller must give back. Its error is ErrBusy, or that of ctx.
func (p *places) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.taken <- struct{}{}:
		return nil
	default:
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.most {
		return ErrBusy
	}
	select {
	case p.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *places) giveBack() { <-p.taken }
