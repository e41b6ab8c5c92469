package load

import (
	"math"
	"testing"
	"time"
)

func TestSchedule_OffersTheRate(t *testing.T) {
	f := func(kind string, rate, tolerance float64) {
		t.Helper()
		next, err := newSchedule(kind, rate, NewRand(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		n, last := 0, time.Duration(0)
		for due := next(); due < 100*time.Second; due = next() {
			if due < last {
				t.Fatalf("%s: %v is due after %v", kind, due, last)
			}
			last = due
			n++
		}
		if want := 100 * rate; math.Abs(float64(n)-want) > tolerance*want {
			t.Errorf("%s: %d requests in 100 s, want %.0f", kind, n, want)
		}
	}
	f("constant", 333, 0.001)
	f("burst", 333, 0.001)
	f("poisson", 333, 0.02)
}

func TestSchedule_Bursts(t *testing.T) {
	next, err := newSchedule("burst", 50, NewRand(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if due, want := next(), time.Duration(i/5)*100*time.Millisecond; due != want {
			t.Fatalf("request %d is due at %v, not %v", i, due, want)
		}
	}
}

func TestSchedule_SameSeedSameSchedule(t *testing.T) {
	a, _ := newSchedule("poisson", 100, NewRand(7, 0))
	b, _ := newSchedule("poisson", 100, NewRand(7, 0))
	c, _ := newSchedule("poisson", 100, NewRand(8, 0))
	same := true
	for range 100 {
		x := a()
		if y := b(); x != y {
			t.Fatalf("%v and %v", x, y)
		}
		same = same && x == c()
	}
	if same {
		t.Error("another seed has the same schedule")
	}
}

func TestSchedule_Refuses(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN(), 1e9} {
		if _, err := newSchedule("constant", rate, nil); err == nil {
			t.Errorf("a rate of %g is taken", rate)
		}
	}
	if _, err := newSchedule("never", 1, nil); err == nil {
		t.Error("an unknown schedule is taken")
	}
}
