package index

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// I10: a flood of costly searches takes its places and a short queue, and no more: who comes then is told so at once.
func TestI10_CostlySearchesWaitInAShortQueue(t *testing.T) {
	t.Parallel()
	p := newPlaces()
	for range costlyAtOnce() {
		if err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, giveUp := context.WithCancel(t.Context())
	ended := make(chan error)
	for range p.queue {
		go func() { ended <- p.enter(ctx) }()
	}
	for p.waiting.Load() < p.queue {
		runtime.Gosched()
	}
	for range 100 {
		if err := p.enter(t.Context()); !errors.Is(err, ErrBusy) {
			t.Fatalf("got %v", err)
		}
	}
	p.leave()
	if err := <-ended; err != nil {
		t.Errorf("the next in the queue: %v", err)
	}
	giveUp()
	for range p.queue - 1 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("one that gives up: %v", err)
		}
	}
	if n := p.waiting.Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
	for range costlyAtOnce() {
		p.leave()
	}
	if err := p.enter(t.Context()); err != nil {
		t.Error(err)
	}
}
