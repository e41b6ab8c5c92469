package index

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// I10: a flood of costly searches takes what may run and a short queue, and no more: the next is refused at once.
func TestI10_CostlySearchesWaitInAShortQueue(t *testing.T) {
	t.Parallel()
	p := newLimiter()
	began := time.Now()
	for range costlyAtOnce() {
		if _, err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, giveUp := context.WithCancel(t.Context())
	ended := make(chan error)
	for range p.queue {
		go func() {
			_, err := p.enter(ctx)
			ended <- err
		}()
	}
	eventually.Holds(t, "the queue is full", func() bool { return p.waiting.Load() >= p.queue })
	for range 100 {
		if _, err := p.enter(t.Context()); !errors.Is(err, ErrBusy) {
			t.Fatalf("got %v", err)
		}
	}
	p.leave(began)
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
		p.leave(began)
	}
	if _, err := p.enter(t.Context()); err != nil {
		t.Error(err)
	}
}

// A costly search that would be late is not begun, nor does it wait, so that those that are begun are answered.
func TestI10_CostlySearchesThatWouldBeLate(t *testing.T) {
	t.Parallel()
	p := newLimiter()
	enter := func(left time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		defer cancel()
		_, err := p.enter(ctx)
		return err
	}
	// It has no figures yet.
	for range costlyAtOnce() {
		if err := enter(time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	p.leave(time.Now().Add(-400 * time.Hour)) // a quarter counts
	if took := time.Duration(p.took.Load()); took < 100*time.Hour || took > 101*time.Hour {
		t.Errorf("they take %v", took)
	}
	// A search that need not wait runs, whatever the figures say: else they would never change.
	if err := enter(time.Hour); err != nil {
		t.Errorf("a search that need not wait: %v", err)
	}
	if err := enter(99 * time.Hour); !errors.Is(err, ErrBusy) {
		t.Errorf("one that would be late: %v", err)
	}
	ended := make(chan error)
	go func() { ended <- enter(1000 * time.Hour) }()
	eventually.Holds(t, "it waits", func() bool { return p.waiting.Load() > 0 })
	p.leave(time.Now().Add(-10_000 * time.Hour)) // longer than was known
	if err := <-ended; !errors.Is(err, ErrBusy) {
		t.Errorf("one whose turn came late: %v", err)
	}
	if err := enter(time.Hour); err != nil {
		t.Errorf("after one that was not begun: %v", err)
	}
	if n := p.waiting.Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
}
