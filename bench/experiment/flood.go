package experiment

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// flood measures requests at --rate alone and beside a flood of the costliest searches,
// --flood a second on --workers connections.
type flood struct {
	source *source.Source
	flags  *Flags
}

func (f *flood) run(ctx context.Context, seconds float64, run *result.Run) error {
	var searches, shed float64
	err := beside(ctx, f.source, f.flags.background, seconds, run, func(seed uint64) error {
		all, flooded, err := f.source.RunLoad(ctx, source.LoadSpec{Scenario: "search-costly", Rate: f.flags.flood, Connections: f.flags.workers}, seconds, seed)
		if err != nil {
			return err
		}
		searches += flooded.Achieved / besidePairs
		shed += float64(all.Sheds()) / flooded.Seconds / besidePairs
		run.Wrong += flooded.Wrong
		if run.FirstError == "" {
			run.FirstError = flooded.FirstError
		}
		return nil
	})
	run.Figures["searches_due_per_s"] = f.flags.flood
	run.Figures["searches_answered_per_s"], run.Figures["searches_shed_per_s"] = searches, shed
	return err
}

func (f *flood) ownLoad() {}
