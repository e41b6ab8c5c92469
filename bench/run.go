package main

import (
	"context"
	"flag"
	"io"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// runCommand measures one scenario at one rate.
func runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	var f loadFlags
	f.register(flags)
	var wf waveFlags
	wf.register(flags)
	repeats := flags.Int("repeats", 1, "how many times")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	s, err := f.open(ctx)
	if err != nil {
		return err
	}
	return runRepeats(ctx, s, "run", flags, &f, *repeats, *out, stdout, stderr, &wf)
}

// runRepeats measures a source several times, and writes the result.
func runRepeats(ctx context.Context, s *source, kind string, flags *flag.FlagSet, f *loadFlags, repeats int, out string, stdout, stderr io.Writer, wf *waveFlags) error {
	m, err := openMeters(ctx, f)
	if err != nil {
		return err
	}
	defer m.close()
	res := newResult(ctx, kind, flags, f, s, m)
	for i := range repeats {
		if ctx.Err() != nil {
			break
		}
		seed := f.seed + uint64(i)
		var r *result.Run
		if isWave(s.flags.scenario) {
			r, err = measureWave(ctx, stderr, s, wf, m, seed)
		} else {
			r, err = s.measure(ctx, stderr, m, f.rate, f.seconds, seed)
		}
		if err != nil {
			return err
		}
		res.Runs = append(res.Runs, *r)
		r.Print(stdout)
	}
	return res.End(out)
}
