package experiment

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// flood measures gets at --rate by turns alone and beside a flood of the costliest
// searches, --flood a second on --workers connections, and compares their p99.
type flood struct {
	source *source.Source
	flags  *Flags
}

// floodPairs is how many turns there are.
const floodPairs = 5

func (f *flood) run(ctx context.Context, seconds float64, run *result.Run) error {
	var alone, beside, ratios []float64
	var searches, shed, failed float64
	gets := source.LoadSpec{Scenario: f.flags.background, Rate: f.source.Flags.Rate, Connections: f.source.Flags.Connections, Urgent: true}
	for pair := range floodPairs {
		seed := f.source.Flags.Seed + uint64(pair)
		_, quiet, err := f.source.RunLoad(ctx, gets, seconds, seed)
		if err != nil {
			return err
		}
		var flooding sync.WaitGroup
		var floodErr error
		var all *load.Outcome
		var flooded *result.Run
		flooding.Go(func() {
			all, flooded, floodErr = f.source.RunLoad(ctx, source.LoadSpec{Scenario: "search-costly", Rate: f.flags.flood, Connections: f.flags.workers}, seconds, seed)
		})
		_, busy, err := f.source.RunLoad(ctx, gets, seconds, seed)
		flooding.Wait()
		if err = cmp.Or(err, floodErr); err != nil {
			return err
		}
		alone, beside = append(alone, quiet.Latency.P99/1000), append(beside, busy.Latency.P99/1000)
		ratios = append(ratios, busy.Latency.P99/quiet.Latency.P99)
		searches += flooded.Achieved / floodPairs
		shed += float64(all.Sheds()) / flooded.Seconds / floodPairs
		failed += float64(quiet.Errors + quiet.Dropped + busy.Errors + busy.Dropped)
		run.Figures[fmt.Sprintf("pair_%d_p99_ratio", pair+1)] = ratios[pair]
		run.Due, run.Answered = run.Due+busy.Due, run.Answered+busy.Answered
		run.Wrong += quiet.Wrong + busy.Wrong + flooded.Wrong
		run.Errors += quiet.Errors + busy.Errors
		for _, r := range []*result.Run{quiet, busy, flooded} {
			if run.FirstError == "" {
				run.FirstError = r.FirstError
			}
		}
		for _, r := range []*result.Run{quiet, busy} {
			if r.Invalid != "" && run.Invalid == "" {
				run.Invalid = "the gets: " + r.Invalid
			}
		}
		run.Latency, run.Service = busy.Latency, busy.Service
	}
	run.Mode, run.Rate, run.Seconds = "open", f.source.Flags.Rate, seconds*floodPairs
	run.Figures["get_p99_alone_ms"], run.Figures["get_p99_beside_ms"] = result.Median(alone), result.Median(beside)
	run.Figures["get_p99_ratio"] = result.Median(ratios)
	run.Figures["get_failed"] = failed
	run.Figures["searches_due_per_s"] = f.flags.flood
	run.Figures["searches_answered_per_s"], run.Figures["searches_shed_per_s"] = searches, shed
	return nil
}

func (f *flood) ownLoad() {}
