package measure

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// maxSearch looks for the highest rate that holds.
type maxSearch struct {
	from, to  float64 // the first rate, and the highest to try
	factor    float64 // from one step to the next
	precision float64 // how close to each other the highest rate that held and the lowest that did not must come: 0.05
	// try loads at a rate, and says why it did not hold, "" if it did.
	try func(rate float64, step string) (cause string, err error)
}

const (
	confirmations = 3
	// lower is by how much a rate is lowered that did not hold again.
	lower = 0.95
	// patience is how often it may be lowered.
	patience = 10
)

// run steps up until a rate does not hold, bisects between it and the last that
// did, holds the result for longer, and confirms it three times. A result that
// does not hold again is lowered. It returns 0 if no rate held.
func (m maxSearch) run() (float64, []result.Try, error) {
	var tries []result.Try
	holds := func(rate float64, step string) (bool, error) {
		cause, err := m.try(rate, step)
		if err != nil {
			return false, err
		}
		tries = append(tries, result.Try{Rate: rate, Step: step, Held: cause == "", Cause: cause})
		return cause == "", nil
	}
	var low, high float64
	for rate := m.from; high == 0 && low < m.to; rate = min(rate*m.factor, m.to) {
		ok, err := holds(rate, "step")
		switch {
		case err != nil:
			return 0, tries, err
		case ok:
			low = rate
		default:
			high = rate
		}
	}
	for first := low == 0; high > 0 && (low == 0 || high > low*(1+m.precision)); {
		rate := (low + high) / 2
		if first { // the first rate was too high already
			if rate = high / m.factor; rate < 1 {
				return 0, tries, nil
			}
		}
		ok, err := holds(rate, "bisect")
		switch {
		case err != nil:
			return 0, tries, err
		case ok:
			low, first = rate, false
		default:
			high = rate
		}
	}
	for range patience {
		held := true
		for i := 0; held && i <= confirmations; i++ {
			step := "confirm"
			if i == 0 {
				step = "hold"
			}
			var err error
			if held, err = holds(low, step); err != nil {
				return 0, tries, err
			}
		}
		if held {
			return low, tries, nil
		}
		low *= lower
	}
	return 0, tries, nil
}

// Max is bench max: it finds the highest rate that holds an objective.
func Max(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("max", flag.ContinueOnError)
	var f source.Flags
	f.Register(flags)
	slo := flags.String("slo", "p99<5ms,err<0.01%", "the objective")
	from := flags.Float64("from", 1000, "the first rate")
	to := flags.Float64("to", 200_000, "the highest rate to try")
	factor := flags.Float64("factor", 1.5, "from one step to the next")
	precision := flags.Float64("precision", 0.05, "how exact the result is")
	hold := flags.Float64("hold", 3, "how many times as long the result is held at first")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	goal, err := parseObjective(*slo)
	if err != nil {
		return fmt.Errorf("max: --slo: %w", err)
	}
	if !(*from > 0 && *to >= *from && *factor > 1 && *precision > 0 && *hold >= 1) {
		return fmt.Errorf("max: --from must be positive and at most --to, --factor above 1, --precision positive, --hold at least 1")
	}
	s, err := f.Open(ctx)
	if err != nil {
		return err
	}
	m, err := source.OpenMeters(ctx, &f)
	if err != nil {
		return err
	}
	defer m.Close()
	res := source.NewResult(ctx, "max", flags, &f, s, m)
	res.Max = &result.Max{Objective: goal.text}
	try := func(rate float64, step string) (string, error) {
		seconds := f.Seconds
		if step == "hold" {
			seconds *= *hold
		}
		r, err := s.Measure(ctx, stderr, m, rate, seconds, f.Seed+uint64(len(res.Runs)))
		if err != nil {
			return "", err
		}
		r.Label += " " + step
		res.Runs = append(res.Runs, *r)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		cause, err := goal.held(r)
		verdict := "held"
		if cause != "" {
			verdict = cause
		}
		fmt.Fprintf(stdout, "%-7s %8.0f/s: %.0f answers/s, p99 %s ms, %s\n", step, rate, r.Achieved, result.Millis(r.Latency.P99), verdict)
		return cause, err
	}
	res.Max.Rate, res.Max.Tries, err = maxSearch{from: *from, to: *to, factor: *factor, precision: *precision, try: try}.run()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nThe highest rate of %s that holds %s: **%.0f requests/s**.\n", f.Scenario, goal.text, res.Max.Rate)
	return res.Write(*out)
}
