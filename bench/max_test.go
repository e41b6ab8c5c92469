package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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
	f := func(want string, slow int, change func(*Run)) {
		t.Helper()
		h := newHistogram()
		for i := range 1000 {
			d := time.Millisecond
			if i < slow {
				d = 10 * time.Millisecond
			}
			if err := h.RecordValue(int64(d)); err != nil {
				t.Fatal(err)
			}
		}
		run := Run{Due: 1000}
		if run.Latency, err = newDistribution(h); err != nil {
			t.Fatal(err)
		}
		change(&run)
		got, err := o.held(&run)
		if err != nil || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	f("", 5, func(*Run) {})
	f("p99 was 10", 50, func(*Run) {})
	f("", 0, func(r *Run) { r.Errors = 9 })
	f("10 of 1000 failed", 0, func(r *Run) { r.Errors, r.Dropped, r.Wrong = 4, 3, 3 })
	f("invalid: x", 0, func(r *Run) { r.Invalid = "x" })
}

// capacity is a target that holds every rate up to its own.
func capacity(limit float64) func(float64, string) (string, error) {
	return func(rate float64, _ string) (string, error) {
		if rate > limit {
			return "too much", nil
		}
		return "", nil
	}
}

func TestMaxSearch_FindsTheCapacity(t *testing.T) {
	for _, limit := range []float64{1, 30, 999, 1000, 1001, 7777, 20_000, 123_456} {
		m := maxSearch{from: 1000, to: 1e6, factor: 1.5, precision: 0.05, try: capacity(limit)}
		rate, tries, err := m.run()
		if err != nil || rate > limit || rate < limit/1.06 && limit >= 30 {
			t.Errorf("capacity %g: %g, %v", limit, rate, err)
		}
		if len(tries) > 40 {
			t.Errorf("capacity %g: %d tries", limit, len(tries))
		}
	}
}

func TestMaxSearch_StopsAtTheHighest(t *testing.T) {
	rate, tries, err := maxSearch{from: 1000, to: 5000, factor: 2, precision: 0.05, try: capacity(1e9)}.run()
	if err != nil || rate != 5000 {
		t.Errorf("%g, %v", rate, err)
	}
	var steps []string
	for _, try := range tries {
		steps = append(steps, fmt.Sprintf("%s %g", try.Step, try.Rate))
	}
	want := "step 1000,step 2000,step 4000,step 5000,hold 5000,confirm 5000,confirm 5000,confirm 5000"
	if got := strings.Join(steps, ","); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestMaxSearch_LowersWhatDoesNotHoldAgain(t *testing.T) {
	confirmed := 0
	m := maxSearch{from: 1000, to: 1000, factor: 2, precision: 0.05, try: func(rate float64, step string) (string, error) {
		if step == "confirm" {
			if confirmed++; confirmed == 2 {
				return "not again", nil
			}
		}
		return "", nil
	}}
	if rate, _, err := m.run(); err != nil || rate != 950 {
		t.Errorf("%g, %v; want 950", rate, err)
	}
}

func TestMaxSearch_NothingHolds(t *testing.T) {
	if rate, _, err := (maxSearch{from: 1000, to: 1e6, factor: 2, precision: 0.05, try: capacity(0)}).run(); err != nil || rate != 0 {
		t.Errorf("%g, %v", rate, err)
	}
	broken := errors.New("broken")
	if _, _, err := (maxSearch{from: 1, to: 2, factor: 2, precision: 0.05, try: func(float64, string) (string, error) { return "", broken }}).run(); !errors.Is(err, broken) {
		t.Error(err)
	}
}
