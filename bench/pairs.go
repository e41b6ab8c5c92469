package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// side is one of the two loads that pairs compares.
type side struct {
	name   string
	flags  loadFlags
	source *source
	meters *meters
	child  *child
}

// pairsCommand runs two loads by turns, and reports the ratio of each pair.
// What slows the machine slows both, so ratios say more than rates.
func pairsCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("pairs", flag.ContinueOnError)
	var shared loadFlags
	shared.register(flags)
	pairs := flags.Int("pairs", 9, "how many pairs")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	atLeast := flags.Float64("at-least", 0, "the requirement: the median of a's requests/s by b's")
	p99AtMost := flags.Float64("p99-at-most", 0, "the requirement: the median of a's p99 by b's")
	seedUsers := flags.Int("seed-users", 0, "users that evalsha and raw store in Redis first, under bench:; 0 is as many as a has")
	writeBuffer := flags.Int("write-buffer", 4096, "that of a baseline that is started")
	flags.String("a", "", "target of a: `URL`; default --target")
	flags.String("b", "", "target of b: `URL`; or baseline or evalsha: one that is started, with answers as long as a's; or raw: Redis itself")
	addSideFlags(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	a, err := newSide(flags, "a")
	if err != nil {
		return err
	}
	b, err := newSide(flags, "b")
	if err != nil {
		return err
	}
	if err := a.open(ctx); err != nil {
		return fmt.Errorf("a: %w", err)
	}
	defer a.close()
	if *seedUsers == 0 {
		*seedUsers = a.source.config.data.users()
	}
	if err := b.start(ctx, a, *seedUsers, *writeBuffer, stderr); err != nil {
		return fmt.Errorf("b: %w", err)
	}
	defer b.close()

	result := newResult(ctx, "pairs", flags, &a.flags, a.source, a.meters)
	result.Scenario = a.label() + " / " + b.label()
	result.Pairs = &Pairs{}
	fmt.Fprintf(stdout, "| pair | a: %s, answers/s | b: %s, answers/s | a/b | a p99 ms | b p99 ms | a/b |\n|---|---|---|---|---|---|---|\n", a.label(), b.label())
	for i := range *pairs {
		first, second := a, b
		if i%2 == 1 { // so that neither has the better place
			first, second = b, a
		}
		var runs [2]*Run
		for k, s := range []*side{first, second} {
			r, err := s.source.measure(ctx, stderr, s.meters, s.flags.rate, s.flags.seconds, s.flags.seed+uint64(i))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			r.Side, r.Label = s.name, s.label()
			runs[k] = r
			result.Runs = append(result.Runs, *r)
		}
		if ctx.Err() != nil {
			break
		}
		if i%2 == 1 {
			runs[0], runs[1] = runs[1], runs[0]
		}
		result.Pairs.add(runs[0], runs[1])
		fmt.Fprintf(stdout, "| %d | %.0f | %.0f | %.3f | %s | %s | %.2f |\n", i+1, runs[0].Achieved, runs[1].Achieved, last(result.Pairs.Ratios),
			ms(runs[0].Latency.P99), ms(runs[1].Latency.P99), last(result.Pairs.P99Ratios))
	}
	result.Pairs.sum()
	result.Pairs.require(*atLeast, *p99AtMost)
	result.Pairs.print(stdout)
	printMeans(stdout, result.Runs)
	return result.end(*out)
}

// sideFlags are those of a load that either side can have to itself.
var sideFlags = []string{"scenario", "key-file", "admin", "redis", "rate", "schedule", "connections", "sessions", "newest", "offset", "limit", "zipf"}

func addSideFlags(flags *flag.FlagSet) {
	for _, name := range sideFlags {
		for _, prefix := range []string{"a-", "b-"} {
			flags.String(prefix+name, "", "--"+name+" of this side only")
		}
	}
}

// newSide makes a side's flags: the shared ones, and over them its own.
func newSide(flags *flag.FlagSet, name string) (*side, error) {
	s := &side{name: name}
	own := flag.NewFlagSet(name, flag.ContinueOnError)
	s.flags.register(own)
	var err error
	set := func(to, value string) {
		if own.Lookup(to) != nil && err == nil {
			if err = own.Set(to, value); err != nil {
				err = fmt.Errorf("pairs: --%s %q: %w", to, value, err)
			}
		}
	}
	flags.Visit(func(f *flag.Flag) { set(f.Name, f.Value.String()) })
	flags.Visit(func(f *flag.Flag) {
		if f.Name == name {
			set("target", f.Value.String())
		} else if to, ok := strings.CutPrefix(f.Name, name+"-"); ok {
			set(to, f.Value.String())
		}
	})
	return s, err
}

func (s *side) label() string {
	what := s.flags.scenario
	if s.child != nil {
		what += " of " + s.child.kind
	}
	if s.flags.scenario == "search-admin" && s.flags.offset >= 0 {
		what += fmt.Sprintf(" at offset %d", s.flags.offset)
	}
	return what
}

func (s *side) open(ctx context.Context) error {
	var err error
	if s.source, err = s.flags.open(ctx); err != nil {
		return err
	}
	s.meters, err = openMeters(ctx, &s.flags)
	return err
}

// start opens side b, and before, if it is to be a baseline, starts one.
func (s *side) start(ctx context.Context, a *side, seedUsers, writeBuffer int, stderr io.Writer) error {
	kind := s.flags.target
	more := []string{"--write-buffer", fmt.Sprint(writeBuffer)}
	switch kind {
	case "raw":
		var err error
		if s.source, err = s.flags.openRaw(ctx, seedUsers, stderr); err != nil {
			return err
		}
		s.flags = s.source.flags
		s.flags.admin = ""
		s.meters, err = openMeters(ctx, &s.flags)
		return err
	case "baseline":
	case "evalsha":
		more = append(more, "--evalsha", "--redis", s.flags.redis, "--seed-users", fmt.Sprint(seedUsers))
	default:
		return s.open(ctx)
	}
	var err error
	if s.child, err = a.source.startEqual(ctx, stderr, more...); err != nil {
		return err
	}
	s.child.kind = kind
	s.flags.target, s.flags.admin = s.child.url, ""
	if err := s.open(ctx); err != nil {
		s.child.stop()
		return err
	}
	s.meters.pid = s.child.cmd.Process.Pid
	s.source.config.data.newest = a.source.config.data.newest
	return nil
}

func (s *side) close() {
	s.meters.close()
	if s.child != nil {
		s.child.stop()
	}
}

// add adds one pair.
func (p *Pairs) add(a, b *Run) {
	p.Ratios = append(p.Ratios, ratio(a.Achieved, b.Achieved))
	p.P99Ratios = append(p.P99Ratios, ratio(a.Latency.P99, b.Latency.P99))
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (p *Pairs) sum() {
	p.Median, p.P99Median = median(p.Ratios), median(p.P99Ratios)
	if len(p.Ratios) > 0 {
		p.Lowest, p.Highest = slices.Min(p.Ratios), slices.Max(p.Ratios)
	}
}

// require says whether the requirement is met, if there is one.
func (p *Pairs) require(atLeast, p99AtMost float64) {
	verdict := func(met bool) string {
		if met {
			return "met"
		}
		return "not met"
	}
	var all []string
	if atLeast > 0 {
		all = append(all, fmt.Sprintf("at least %g × requests/s: %s (%.3f)", atLeast, verdict(p.Median >= atLeast), p.Median))
	}
	if p99AtMost > 0 {
		all = append(all, fmt.Sprintf("at most %g × p99: %s (%.2f)", p99AtMost, verdict(len(p.P99Ratios) > 0 && p.P99Median <= p99AtMost), p.P99Median))
	}
	p.Requirement = strings.Join(all, "; ")
}

func (p *Pairs) print(w io.Writer) {
	fmt.Fprintf(w, "\na/b of requests/s: median **%.3f**, %.3f to %.3f, %d pairs. Of p99: median %.2f.\n", p.Median, p.Lowest, p.Highest, len(p.Ratios), p.P99Median)
	if p.Requirement != "" {
		fmt.Fprintf(w, "Required: %s.\n", p.Requirement)
	}
}

// printMeans prints the mean of each figure by side, and the ratios of those that both have.
func printMeans(w io.Writer, runs []Run) {
	means := map[string]map[string]float64{}
	for _, side := range []string{"a", "b"} {
		sums, counts := map[string]float64{}, map[string]float64{}
		var bad uint64
		for i := range runs {
			if runs[i].Side != side {
				continue
			}
			bad += runs[i].Errors + runs[i].Wrong + runs[i].Dropped
			for name, v := range runs[i].Figures {
				sums[name] += v
				counts[name]++
			}
		}
		fmt.Fprintf(w, "%s: %d errors, wrong or dropped", side, bad)
		means[side] = map[string]float64{}
		for _, name := range sortedNames(sums) {
			means[side][name] = sums[name] / counts[name]
			fmt.Fprintf(w, "; %s %.4g", name, means[side][name])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "a/b")
	for _, name := range sortedNames(means["a"]) {
		if b, ok := means["b"][name]; ok {
			fmt.Fprintf(w, "; %s %.2f", name, ratio(means["a"][name], b))
		}
	}
	fmt.Fprintln(w)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func last(s []float64) float64 { return s[len(s)-1] }
