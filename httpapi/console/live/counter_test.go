package live

import (
	"math"
	"testing"
)

// A counter that falls was set back to 0; what is no number of events counts nothing, and is forgotten.
func TestCounter_Take(t *testing.T) {
	var c counter
	for _, step := range []struct{ value, rise float64 }{
		{5, 5}, {5, 0}, {12, 7}, {3, 3}, {math.NaN(), 0}, {math.Inf(1), 0}, {-1, 0}, {4, 1},
	} {
		if rise := c.take(step.value, 0); rise != step.rise {
			t.Errorf("at %v it rose by %v, want %v", step.value, rise, step.rise)
		}
	}
	if c.inWindow() != 16 || c.total != 4 {
		t.Errorf("it rose by %v to %v, want by 16 to 4", c.inWindow(), c.total)
	}
}

// A family with more labels than anybody meant it to have takes no more memory.
func TestFamily_IsBounded(t *testing.T) {
	f := family{}
	for _, name := range manyRoutes(mostCounters + 10) {
		f.take(label{name}, 1, 0)
	}
	if len(f) != mostCounters {
		t.Errorf("%d counters, want %d", len(f), mostCounters)
	}
}
