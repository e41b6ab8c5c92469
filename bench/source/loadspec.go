package source

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// LoadSpec says what one load is like, of several that make up a run.
type LoadSpec struct {
	Scenario    string
	Rate        float64 // requests/s; 0 is a closed loop
	Connections int
	// Urgent lets an open loop go before all other programs.
	Urgent bool
}

// RunLoad runs one load for so many seconds, without meters and progress. Requests that are shed are
// counted apart, and are no errors.
func (s *Source) RunLoad(ctx context.Context, what LoadSpec, seconds float64, seed uint64) (*load.Outcome, *result.Run, error) {
	own := *s
	own.Flags.Scenario, own.Flags.Connections = what.Scenario, what.Connections
	own.Flags.Backlog = max(int(what.Rate/10), 1) // a tenth of a second
	l, err := own.Load(what.Rate, seconds, seed)
	if err != nil {
		return nil, nil, err
	}
	l.Urgent, l.Shedding = what.Urgent, true
	o, err := l.Run(ctx)
	if err != nil {
		return nil, nil, err
	}
	run := &result.Run{}
	return o, run, o.Fill(run)
}
