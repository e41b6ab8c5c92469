package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// parts are the running parts of the program. Each runs in one goroutine, and
// stop waits for all of them, the last started first. (I7)
type parts struct {
	stack []part
	// failed gets the error of the first part that ends before it is stopped;
	// stop returns those of the others.
	failed chan error
}

// errEndedByItself is the failure of what should have run until it was stopped.
var errEndedByItself = errors.New("ended by itself")

type part struct {
	name string
	stop func() error
}

func newParts() *parts { return &parts{failed: make(chan error, 1)} }

// start runs a part, until stop cancels its context.
func (p *parts) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errEndedByItself
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

// onStop adds something to close.
func (p *parts) onStop(name string, stop func() error) { p.stack = append(p.stack, part{name, stop}) }

// stop ends all parts in reverse order and waits for each. It returns what
// went wrong in any of them.
func (p *parts) stop() error {
	var all []error
	for i := len(p.stack) - 1; i >= 0; i-- {
		if err := p.stack[i].stop(); err != nil {
			all = append(all, fmt.Errorf("%s: %w", p.stack[i].name, err))
		}
	}
	p.stack = nil
	return errors.Join(all...)
}

// wait blocks until ctx ends (nil) or a part fails.
func (p *parts) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

// pause is wait for at most d.
func (p *parts) pause(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return p.wait(ctx)
}

// again does a step at every interval until ctx ends, and returns nil then.
func again(ctx context.Context, interval time.Duration, step func(context.Context)) error {
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
