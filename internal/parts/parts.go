// Package parts runs the parts of a program: each in a goroutine, stopped in reverse order,
// and waited for.
package parts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Parts are the running parts of the program. Each runs in one goroutine, and
// stop waits for all of them, the last started first. (I7)
type Parts struct {
	stack []part
	// failed gets the error of the first part that ends before it is stopped;
	// stop returns those of the others.
	failed chan error
}

// ErrEndedByItself is the failure of what should have run until it was stopped.
var ErrEndedByItself = errors.New("ended by itself")

type part struct {
	name string
	stop func() error
}

// New makes parts, of which none runs.
func New() *Parts { return &Parts{failed: make(chan error, 1)} }

// Start runs a part, until stop cancels its context.
func (p *Parts) Start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = ErrEndedByItself
			}
			select {
			case p.failed <- fmt.Errorf("%s: %w", name, err):
				err = nil // told
			default: // another part was first
			}
		}
		done <- err
	}()
	p.stack = append(p.stack, part{name, func() error {
		cancel()
		return <-done
	}})
}

// OnStop adds something to close.
func (p *Parts) OnStop(name string, stop func() error) { p.stack = append(p.stack, part{name, stop}) }

// Stop ends all parts in reverse order and waits for each. It returns what
// went wrong in any of them.
func (p *Parts) Stop() error {
	var all []error
	for i := len(p.stack) - 1; i >= 0; i-- {
		if err := p.stack[i].stop(); err != nil {
			all = append(all, fmt.Errorf("%s: %w", p.stack[i].name, err))
		}
	}
	p.stack = nil
	return errors.Join(all...)
}

// Wait blocks until ctx ends (nil) or a part fails.
func (p *Parts) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

// Pause is wait for at most d.
func (p *Parts) Pause(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return p.Wait(ctx)
}

// Again does a step at every interval until ctx ends, and returns nil then.
func Again(ctx context.Context, interval time.Duration, step func(context.Context)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			step(ctx)
		}
	}
}
