package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"syscall"
	"time"
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
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	s, err := f.open(ctx)
	if err != nil {
		return err
	}
	return s.runRepeats(ctx, "run", flags, &f, *repeats, *out, stdout, stderr, &wf)
}

// runRepeats measures the source several times, and writes the result.
func (s *source) runRepeats(ctx context.Context, kind string, flags *flag.FlagSet, f *loadFlags, repeats int, out string, stdout, stderr io.Writer, wf *waveFlags) error {
	m, err := openMeters(ctx, f)
	if err != nil {
		return err
	}
	defer m.close()
	result := newResult(ctx, kind, flags, f, s, m)
	for i := range repeats {
		if ctx.Err() != nil {
			break
		}
		seed := f.seed + uint64(i)
		var r *Run
		if isWave(s.flags.scenario) {
			r, err = s.measureWave(ctx, stderr, wf, m, seed)
		} else {
			r, err = s.measure(ctx, stderr, m, f.rate, f.seconds, seed)
		}
		if err != nil {
			return err
		}
		result.Runs = append(result.Runs, *r)
		r.print(stdout)
	}
	return result.end(out)
}

// newResult begins a result.
func newResult(ctx context.Context, kind string, flags *flag.FlagSet, f *loadFlags, s *source, m *meters) *Result {
	r := &Result{
		Format: resultFormat, Kind: kind, Started: time.Now().UTC().Truncate(time.Second), Command: command(kind, flags),
		Scenario: s.flags.scenario, Environment: newEnvironment(ctx, flags, f),
	}
	r.Environment.Target = s.version
	r.Environment.Redis, r.Environment.RedisSettings = m.redisVersion, m.redisSettings
	return r
}

// end writes the result. It fails if a run proves nothing.
func (r *Result) end(out string) error {
	if err := r.write(out); err != nil {
		return err
	}
	for i := range r.Runs {
		if r.Runs[i].Invalid != "" {
			return fmt.Errorf("run %d is invalid: %s", i+1, r.Runs[i].Invalid)
		}
	}
	return nil
}

// measure makes one run, and shows its progress.
func (s *source) measure(ctx context.Context, stderr io.Writer, m *meters, rate, seconds float64, seed uint64) (*Run, error) {
	l, err := s.load(rate, seconds, seed)
	if err != nil {
		return nil, err
	}
	run := &Run{Label: s.flags.scenario, Mode: "closed", Rate: rate, Connections: l.connections, Warmup: s.flags.warmup}
	if l.open() {
		run.Mode, run.Schedule = "open", l.schedule
	}
	before := m.read(ctx)
	begin, cpuBefore := time.Now(), cpuTime()
	stop := progress(stderr, s.flags.scenario, int64(l.warmup+l.length)/int64(time.Second), func() (int64, string) {
		return int64(time.Since(begin) / time.Second), fmt.Sprintf(" s, %d answers, %d errors, %d dropped", l.live.answered.Load(), l.live.errors.Load(), l.live.dropped.Load())
	})
	o, err := l.run(ctx)
	stop()
	if err != nil {
		return nil, err
	}
	if err := o.fill(run); err != nil {
		return nil, err
	}
	if checker, ok := l.scenario.(interface{ invalid() string }); ok && run.Invalid == "" {
		run.Invalid = checker.invalid()
	}
	run.Figures = map[string]float64{}
	if o.hurried {
		run.Figures["generator_real_time"] = 1
	}
	if n := float64(l.live.answered.Load() + l.live.errors.Load()); n > 0 {
		run.Figures["generator_cpu_us_per_request"] = (cpuTime() - cpuBefore).Seconds() * 1e6 / n
		m.figures(run.Figures, before, m.read(ctx), n)
	}
	return run, nil
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
