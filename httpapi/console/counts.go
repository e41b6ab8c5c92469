package console

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

// longestCount is how long a count may take.
const longestCount = 30 * time.Second

// counts are dry runs under way, at most one of each API key: a page that was closed, or asks again, does not say that it
// no longer waits for the earlier one. The zero value has none. It is safe for concurrent use.
type counts struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*count
}

// count is a dry run.
type count struct{ cancel context.CancelCauseFunc }

// begin cancels the count of key that is under way, and returns a context for another one. It ends with base, after
// longestCount, and when the key begins a third; then context.Cause is a *refusal.Error. end must be called.
func (cs *counts) begin(base context.Context, key [sha256.Size]byte) (ctx context.Context, end func()) {
	ctx, stop := context.WithTimeoutCause(base, longestCount, errCountTooLong)
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &count{cancel}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if earlier := cs.all[key]; earlier != nil {
		earlier.cancel(errCountReplaced)
	}
	if cs.all == nil {
		cs.all = map[[sha256.Size]byte]*count{}
	}
	cs.all[key] = mine
	return ctx, func() {
		stop()
		cancel(nil)
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if cs.all[key] == mine {
			delete(cs.all, key)
		}
	}
}

// count answers a dry run.
func (c *Console) count(r *request, body []byte) error {
	ctx, end := c.counts.begin(r.on.base, r.who.key)
	defer end()
	asked := r.asks(body)
	asked.Context = ctx
	answer := r.on.calls.Revoke(asked)
	if why, ok := context.Cause(ctx).(*refusal.Error); ok && answer.Status != fasthttp.StatusOK {
		return why
	}
	r.relay(answer)
	return nil
}

// Why a count ends early.
var (
	errCountTooLong  = &refusal.Error{Code: refusal.Deadline, Text: "counting took longer than " + longestCount.String() + "; nothing was revoked; narrow the search, or run `cloakroom sessions revoke`"}
	errCountReplaced = &refusal.Error{Code: refusal.Aborted, Text: "a later count with the same API key has replaced this one; nothing was revoked; count again"}
)
