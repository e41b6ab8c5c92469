package experiment

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// besidePairs is how many turns there are.
const besidePairs = 5

// beside measures a scenario at the source's rate by turns alone and beside other, which
// works for as many seconds, and compares their p99. What it finds goes into run, which
// other may also write to: nothing else does meanwhile.
func beside(ctx context.Context, s *source.Source, scenario string, seconds float64, run *result.Run, other func(seed uint64) error) error {
	if err := s.Prepare(ctx, scenario); err != nil {
		return err
	}
	var alone, along, ratios []float64
	var failed float64
	asked := source.LoadSpec{Scenario: scenario, Rate: s.Flags.Rate, Connections: s.Flags.Connections, Urgent: true}
	for pair := range besidePairs {
		seed := s.Flags.Seed + uint64(pair)
		_, quiet, err := s.RunLoad(ctx, asked, seconds, seed)
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- other(seed) }()
		_, busy, err := s.RunLoad(ctx, asked, seconds, seed)
		if otherErr := <-ended; err == nil {
			err = otherErr
		}
		if err != nil {
			return err
		}
		alone, along = append(alone, quiet.Latency.P99/1000), append(along, busy.Latency.P99/1000)
		ratios = append(ratios, busy.Latency.P99/quiet.Latency.P99)
		failed += float64(quiet.Errors + quiet.Dropped + busy.Errors + busy.Dropped)
		run.Figures[fmt.Sprintf("pair_%d_p99_ratio", pair+1)] = ratios[pair]
		run.Due, run.Answered = run.Due+busy.Due, run.Answered+busy.Answered
		run.Wrong += quiet.Wrong + busy.Wrong
		run.Errors += quiet.Errors + busy.Errors
		for _, r := range []*result.Run{quiet, busy} {
			if run.FirstError == "" {
				run.FirstError = r.FirstError
			}
			if r.Invalid != "" && run.Invalid == "" {
				run.Invalid = scenario + ": " + r.Invalid
			}
		}
		run.Latency, run.Service = busy.Latency, busy.Service
	}
	run.Mode, run.Rate, run.Seconds = "open", s.Flags.Rate, seconds*besidePairs
	run.Figures["p99_alone_ms"], run.Figures["p99_beside_ms"] = result.Median(alone), result.Median(along)
	run.Figures["p99_ratio"] = result.Median(ratios)
	run.Figures["failed"] = failed
	return nil
}
