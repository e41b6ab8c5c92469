// Package measure has the subcommands that measure: run, pairs, peers, max, raw, start. Look
// here for what they print, in which order they measure, and what decides.
package measure

import (
	"context"
	"flag"
	"io"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/experiment"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// Run is bench run: it measures one scenario at one rate.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	var f source.Flags
	f.Register(flags)
	var wf experiment.Flags
	wf.Register(flags)
	repeats := flags.Int("repeats", 1, "how many times")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	s, err := f.Open(ctx)
	if err != nil {
		return err
	}
	return runRepeats(ctx, s, "run", flags, &f, *repeats, *out, stdout, stderr, &wf)
}

// runRepeats measures a source several times, and writes the result.
func runRepeats(ctx context.Context, s *source.Source, kind string, flags *flag.FlagSet, f *source.Flags, repeats int, out string, stdout, stderr io.Writer, wf *experiment.Flags) error {
	m, err := source.OpenMeters(ctx, f)
	if err != nil {
		return err
	}
	defer m.Close()
	res := source.NewResult(ctx, kind, flags, f, s, m)
	for i := range repeats {
		if ctx.Err() != nil {
			break
		}
		seed := f.Seed + uint64(i)
		var r *result.Run
		if experiment.Is(s.Flags.Scenario) {
			r, err = experiment.Measure(ctx, stderr, s, wf, m, seed)
		} else {
			r, err = s.Measure(ctx, stderr, m, f.Rate, f.Seconds, seed)
		}
		if err != nil {
			return err
		}
		res.Runs = append(res.Runs, *r)
		r.Print(stdout)
	}
	return res.End(out)
}
