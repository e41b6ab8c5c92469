package main

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

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
func (s *source) loadPart(ctx context.Context, what part, seconds float64, seed uint64) (*load.Outcome, *result.Run, error) {
	own := *s
	own.flags.scenario, own.flags.connections = what.scenario, what.connections
	own.flags.backlog = max(int(what.rate/10), 1) // a tenth of a second
	l, err := own.load(what.rate, seconds, seed)
	if err != nil {
		return nil, nil, err
	}
	l.Urgent, l.Shedding = what.urgent, true
	o, err := l.Run(ctx)
	if err != nil {
		return nil, nil, err
	}
	run := &result.Run{}
	return o, run, o.Fill(run)
}
