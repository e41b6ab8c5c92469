// Package deadline is context.WithDeadline without its cost for calls that most often
// end before anybody waits for them.
package deadline

import (
	"context"
	"sync"
	"time"
)

// Context is a context with a deadline. The context with its timer is made when
// somebody waits for it. It is made once per call and never used again, because a
// load that others share may hold it for longer than the call. Make it with Lazy.
// It is safe for concurrent use.
type Context struct {
	context.Context // the parent
	deadline        time.Time

	mu     sync.Mutex
	timed  context.Context // nil until somebody waits
	cancel context.CancelFunc
	ended  bool
}

// Lazy returns a context that ends with parent, at deadline, or
// with its End, which the caller must call.
func Lazy(parent context.Context, deadline time.Time) *Context {
	return &Context{Context: parent, deadline: deadline}
}

// End ends c.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

// wait returns the context with a timer. c.mu must be held.
func (c *Context) wait() context.Context {
	switch {
	case c.timed != nil:
	case c.ended: // and not by whatever has ended since
		c.timed, c.cancel = context.WithCancel(context.WithoutCancel(c.Context))
		c.cancel()
	default:
		c.timed, c.cancel = context.WithDeadline(c.Context, c.deadline)
	}
	return c.timed
}

// Deadline implements context.Context.
func (c *Context) Deadline() (time.Time, bool) {
	if parent, ok := c.Context.Deadline(); ok && parent.Before(c.deadline) {
		return parent, true
	}
	return c.deadline, true
}

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wait().Done()
}

// Err implements context.Context. Only what has ended needs the context with a
// timer, which then says why, and says the same for ever.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil && !c.ended && c.Context.Err() == nil && time.Now().Before(c.deadline) {
		return nil
	}
	return c.wait().Err()
}

// Value implements context.Context. Package context finds by it what to end
// with c: the context with a timer, once there is one.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}
