package measure

import (
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

func TestParseObjective(t *testing.T) {
	o, err := parseObjective("p99<5ms, p99.9<20ms,err<0.01%")
	if err != nil || len(o.latencies) != 2 || o.latencies[1] != (latencyLimit{percentile: 99.9, most: 20 * time.Millisecond}) || o.errors < 0.000099 || o.errors > 0.000101 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"", "p99", "p99<", "p99<5", "p0<5ms", "p100<5ms", "x<5ms", "p99<-1s", "err<x%", "err<0%", "err<200%", "p99<5ms,"} {
		if _, err := parseObjective(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestObjective_Held(t *testing.T) {
	o, err := parseObjective("p99<5ms,err<1%")
	if err != nil {
		t.Fatal(err)
	}
	f := func(want string, slow int, change func(*result.Run)) {
		t.Helper()
		h := result.NewHistogram()
		for i := range 1000 {
			d := time.Millisecond
			if i < slow {
				d = 10 * time.Millisecond
			}
			if err := h.RecordValue(int64(d)); err != nil {
				t.Fatal(err)
			}
		}
		run := result.Run{Due: 1000}
		if run.Latency, err = result.NewDistribution(h); err != nil {
			t.Fatal(err)
		}
		change(&run)
		got, err := o.held(&run)
		if err != nil || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	f("", 5, func(*result.Run) {})
	f("p99 was 10", 50, func(*result.Run) {})
	f("", 0, func(r *result.Run) { r.Errors = 9 })
	f("10 of 1000 failed", 0, func(r *result.Run) { r.Errors, r.Dropped, r.Wrong = 4, 3, 3 })
	f("invalid: x", 0, func(r *result.Run) { r.Invalid = "x" })
}
