package httpapi

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// maxAttempts bounds how often a write is tried that others overtake.
	maxAttempts = 64
	// firstPause and longestPause bound the pauses between attempts.
	firstPause   = 500 * time.Microsecond
	longestPause = 32 * time.Millisecond
)

// attempts counts the attempts of a write that reads, changes and puts back.
// Between them it pauses, longer each time and by chance, so that writers of
// the same session step out of each other's way.
type attempts struct {
	ctx   context.Context
	pause time.Duration
	max   int // 0: as many as the context lets
	count int
}

func newAttempts(ctx context.Context) attempts {
	return attempts{ctx: ctx, pause: firstPause, max: maxAttempts}
}

// overtaken is the error after the last attempt: other writers were faster each
// time, or the time was over before it was known whether they would be.
// (I2)
func (a *attempts) overtaken() error {
	if a.ctx.Err() != nil {
		return errUnavailable
	}
	return errConflict
}

// next says whether there is one more attempt, and waits for its turn. It is
// false after the last one, or when the context ends.
func (a *attempts) next() bool {
	a.count++
	if a.count == 1 {
		return true
	}
	if a.max > 0 && a.count > a.max || a.ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(rand.N(a.pause) + 1)
	defer timer.Stop()
	a.pause = min(2*a.pause, longestPause)
	select {
	case <-timer.C:
		return true
	case <-a.ctx.Done():
		return false
	}
}
