package transfer

import (
	"testing"
	"time"
)

// A mark counts when all lines before it are dealt with, and lines count from the first on.
func TestTally_CountsWithoutGaps(t *testing.T) {
	c := newTally(nil)
	date := time.Unix(1, 0)
	c.mark(4, &Mark{Date: date})
	for _, step := range []struct {
		line, lines uint64
		caught      bool
	}{{1, 1, false}, {3, 1, false}, {4, 1, false}, {5, 1, false}, {2, 5, true}} {
		c.done(step.line)
		if c.snapshot().Lines != step.lines || c.caughtUp.Equal(date) != step.caught {
			t.Errorf("after line %d: %d lines, caught up %v", step.line, c.snapshot().Lines, c.caughtUp)
		}
	}
	if len(c.ahead) > 0 || len(c.marks) > 0 {
		t.Errorf("%v and %v are left", c.ahead, c.marks)
	}
}
