package live

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"pgregory.net/rapid"
)

// Rates times seconds are what the counters have counted since the first sample, whatever comes and however late: routes that
// appear, seconds in which nothing was sampled, samples that come too early.
func TestSamples_RatesAddUpToTheCounters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, s := newProgram(t, false), newSamples(nil)
		want, got := map[string]float64{}, map[string]float64{}
		at := time.Duration(0)
		sample := func() {
			t.Helper()
			families, err := p.registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			last := s.last
			if !s.take(at, families, &near.Stats{}, 1) {
				return // what has happened counts the next time
			}
			for i, name := range seriesNames {
				if rate := s.points[i][s.seq%kept]; !math.IsNaN(rate) {
					got[name] += rate * (s.last - last).Seconds()
				}
			}
		}
		work := func() {
			for range rapid.IntRange(0, 20).Draw(t, "requests") {
				code := rapid.SampledFrom([]int{200, 201, 302, 401, 503}).Draw(t, "code")
				p.http.Of(rapid.SampledFrom(manyRoutes(4)).Draw(t, "route"), "http").Answered(code, time.Millisecond)
				want[fmt.Sprintf("requests.%dxx", code/100)]++
			}
			reason := rapid.SampledFrom(slices.Sorted(maps.Keys(series))).Draw(t, "reason")
			p.verifies.WithLabelValues(reason).Add(3)
			want[series[reason]] += 3
			for range rapid.IntRange(0, 5).Draw(t, "trips") {
				p.trips.WithLabelValues("pipeline").Observe(0.01)
				p.commands.Add(2)
				want["redis.trips"]++
				want["redis.commands"] += 2
			}
		}
		work()
		sample()
		clear(want) // of what was before the first sample nothing is known
		for range rapid.IntRange(1, 30).Draw(t, "samples") {
			work()
			at += time.Duration(rapid.SampledFrom([]int{300, 1000, 1000, 1000, 1250, 3000, 12000}).Draw(t, "ms")) * time.Millisecond
			sample()
		}
		at += every
		sample()
		for name, n := range want {
			if math.Abs(got[name]-n) > 1e-6 {
				t.Fatalf("%s: rates add up to %v, want %v", name, got[name], n)
			}
		}
	})
}

// series is what each reason of a verify is drawn as.
var series = map[string]string{
	"good": "verify.passed", "stale": "verify.passed", "expired": "verify.refused", "predicate": "verify.refused", "too_large": "verify.refused",
	"store_unavailable": "verify.unavailable", "probe_limit": "verify.unavailable",
}

// Seconds that were not sampled are empty, and what happened in them counts in the next one, so that the time axis is right.
func TestSamples_MissingSecondsAreEmpty(t *testing.T) {
	p, s := newProgram(t, false), newSamples(nil)
	take := func(at time.Duration) {
		families, err := p.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		s.take(at, families, &near.Stats{}, 1)
	}
	get := p.http.Of("GET /a", "http")
	take(0)
	get.Answered(200, time.Millisecond)
	take(time.Second)
	for range 8 {
		get.Answered(200, time.Millisecond)
	}
	take(5 * time.Second)
	take(5300 * time.Millisecond) // too early
	for second, want := range []float64{math.NaN(), 1, math.NaN(), math.NaN(), math.NaN(), 2, math.NaN()} {
		if got := s.points[requests2xx][second]; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("second %d: %v, want %v", second, got, want)
		}
	}
	if rate := s.rate(s.routes.sorted[0].codes[label{"200"}]); rate != 9.0/5 {
		t.Errorf("the rate is %v, want %v", rate, 9.0/5)
	}
	take(1000 * time.Second) // longer than anything is kept
	for second := range kept - 1 {
		if got := s.points[requests2xx][(1000-kept+1+second)%kept]; !math.IsNaN(got) {
			t.Errorf("second %d: %v", 1000-kept+1+second, got)
		}
	}
	if got, c := s.points[requests2xx][1000%kept], s.routes.sorted[0].codes[label{"200"}]; got != 0 || c.inWindow() != 0 {
		t.Errorf("after a long gap: %v requests, %v in the window", got, c.inWindow())
	}
}
