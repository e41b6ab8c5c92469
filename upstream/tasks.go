package upstream

import (
	"context"
	"sync"
)

// tasks are the goroutines that a client has started, and that work for more than one caller. (I7)
type tasks struct {
	// ctx ends when they must.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	stopped bool
	group   sync.WaitGroup
}

func newTasks() *tasks {
	t := &tasks{}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	return t
}

// begin says whether another may begin; then it ends with t.group.Done.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	t.group.Add(1)
	return true
}

// stop ends all, and waits until they have ended.
func (t *tasks) stop() {
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	t.cancel(errClosed)
	t.group.Wait()
}

// errClosed is the error of what would have to be begun after the end.
var errClosed = &UnavailableError{Reason: "this client is closed"}
