package main

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sheds says whether an answer refuses a request because there are too many.
func (a *answer) sheds() bool { return a.status == 503 }

// part is one load of several that a wave makes.
type part struct {
	scenario    string
	rate        float64 // 0 is a closed loop
	connections int
	// urgent lets an open loop go before all other programs.
	urgent bool
}

// loadPart makes one load for so many seconds. Requests that are shed are
// counted apart, and are no errors.
func (s *source) loadPart(ctx context.Context, what part, seconds float64, seed uint64) (*recorder, *Run, error) {
	own := *s
	own.flags.scenario, own.flags.connections = what.scenario, what.connections
	own.flags.backlog = max(int(what.rate/10), 1) // a tenth of a second
	l, err := own.load(what.rate, seconds, seed)
	if err != nil {
		return nil, nil, err
	}
	l.urgent, l.shedding = what.urgent, true
	o, err := l.run(ctx)
	if err != nil {
		return nil, nil, err
	}
	run := &Run{}
	return o.total, run, o.fill(run)
}

// at returns a percentile of a histogram of nanoseconds, in milliseconds.
func at(h *hdrhistogram.Histogram, percentile float64) float64 {
	if h == nil || h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtQuantile(percentile)) / float64(time.Millisecond)
}
