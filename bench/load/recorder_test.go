package load

import (
	"math"
	"testing"
	"time"
)

func TestRecorder_ExtremeTimesAreKept(t *testing.T) {
	r := newRecorder(false, time.Second)
	r.answer(0, -time.Second, 0)
	r.answer(0, time.Hour, 0)
	if n := r.latency.TotalCount(); n != 2 {
		t.Errorf("%d of 2 times are recorded", n)
	}
}

// Each bucket's middle is in it, and no further from any time in it than 1/16.
func TestCoarse_Buckets(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 2*time.Minute; d += d/40 + 300 {
		b := bucketOf(d)
		if b < last || b >= coarseCount {
			t.Fatalf("%v is in bucket %d, after %d", d, b, last)
		}
		last = b
		if m := middleOf(b); bucketOf(m) != b || math.Abs(float64(m-d)) > float64(d)/16+1024 {
			t.Fatalf("%v is in bucket %d, whose middle is %v", d, b, m)
		}
	}
}
