// Package eventually waits in tests for what nobody tells. Where something tells, wait for that.
package eventually

import (
	"testing"
	"time"
)

// limit is for ever, even on a machine with other work to do.
const limit = time.Minute

// Holds asks f until it returns true. If it does not within a minute, the test fails, and the goroutine that called Holds ends;
// what says what was waited for.
func Holds(t testing.TB, what string, f func() bool) {
	t.Helper()
	if !Within(limit, f) {
		t.Fatalf("waited in vain: %s", what)
	}
}

// Within is Holds for tests that have a limit, or more to say, of their own: it reports whether f returned true in time. The
// pauses between are short at first, and then a tenth of what has passed, up to 20 ms: f may be costly.
func Within(limit time.Duration, f func() bool) bool {
	const shortest, longest = 2 * time.Millisecond, 20 * time.Millisecond
	begun := time.Now()
	end, pause := time.NewTimer(limit), time.NewTimer(shortest)
	defer end.Stop()
	defer pause.Stop()
	for !f() {
		pause.Reset(min(max(shortest, time.Since(begun)/10), longest))
		select {
		case <-end.C:
			return false
		case <-pause.C:
		}
	}
	return true
}
