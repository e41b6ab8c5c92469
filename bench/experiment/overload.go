package experiment

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// overload offers a program more than it can do. It first finds the most that
// --workers connections get done in a closed loop, as many as the program lets
// work at a time; then it offers multiples of that in an open loop, on
// --connections connections. Its goodput should stay, and what it sheds should be
// answered at once.
type overload struct {
	source *source.Source
	flags  *Flags
	meters *source.Meters
}

// overloads are the multiples of the most that are offered.
var overloads = []float64{0.8, 2, 10}

func (o *overload) run(ctx context.Context, seconds float64, run *result.Run) error {
	seed := o.source.Flags.Seed
	_, most, err := o.source.RunLoad(ctx, source.LoadSpec{Scenario: o.flags.background, Connections: o.flags.workers}, seconds, seed)
	if err != nil {
		return err
	}
	run.Figures["most_per_s"] = most.Achieved
	run.Figures["most_p99_ms"] = most.Latency.P99 / 1000
	if most.Achieved == 0 {
		return fmt.Errorf("nothing was answered: %s", most.FirstError)
	}
	for _, factor := range overloads {
		rate := factor * most.Achieved
		all, got, err := o.source.RunLoad(ctx, source.LoadSpec{Scenario: o.flags.background, Rate: rate, Connections: o.source.Flags.Connections, Urgent: true}, seconds, seed)
		if err != nil {
			return err
		}
		name := func(what string) string { return fmt.Sprintf("at_%gx_%s", factor, what) }
		run.Figures[name("offered_per_s")] = rate
		run.Figures[name("goodput_per_s")] = got.Achieved
		run.Figures[name("goodput_ratio")] = got.Achieved / most.Achieved
		run.Figures[name("answered_p50_ms")] = got.Service.P50 / 1000
		run.Figures[name("answered_p99_ms")] = got.Service.P99 / 1000
		run.Figures[name("shed_per_s")] = float64(all.Sheds()) / got.Seconds
		run.Figures[name("shed_p50_ms")] = all.ShedMillis(50)
		run.Figures[name("shed_p99_ms")] = all.ShedMillis(99)
		run.Figures[name("shed_p999_ms")] = all.ShedMillis(99.9)
		run.Figures[name("dropped")] = float64(got.Dropped)
		run.Figures[name("errors")] = float64(got.Errors)
		if memory, ok := o.meters.Read(ctx)["process_resident_memory_bytes"]; ok {
			run.Figures[name("resident_mib")] = memory / (1 << 20)
		}
		run.Due, run.Answered = run.Due+got.Due, run.Answered+got.Answered
		run.Errors, run.Wrong, run.Dropped = run.Errors+got.Errors, run.Wrong+got.Wrong, run.Dropped+got.Dropped
		if run.FirstError == "" {
			run.FirstError = got.FirstError
		}
		if got.Invalid != "" && run.Invalid == "" {
			run.Invalid = fmt.Sprintf("at %g times the most: %s", factor, got.Invalid)
		}
	}
	run.Seconds = seconds * float64(len(overloads))
	return nil
}

func (o *overload) ownLoad() {}
