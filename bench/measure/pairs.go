package measure

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/peers"
	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// Pairs is bench pairs: it runs two loads by turns, and reports the ratio of each pair.
// A slow machine slows both, so ratios say more than rates.
func Pairs(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("pairs", flag.ContinueOnError)
	var shared source.Flags
	shared.Register(flags)
	pairs := flags.Int("pairs", 9, "how many pairs")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	atLeast := flags.Float64("at-least", 0, "the requirement: the median of a's requests/s by b's")
	p99AtMost := flags.Float64("p99-at-most", 0, "the requirement: the median of a's p99 by b's")
	seedUsers := flags.Int("seed-users", 0, "users that raw stores in Redis first, under bench:; 0 is as many as a has")
	var how serving
	flags.IntVar(&how.writeBuffer, "write-buffer", 4096, "that of a baseline or a peer that is started")
	flags.StringVar(&how.grpc, "grpc-library", "", "what a baseline that is started serves gRPC by: connect, or grpc-go")
	flags.StringVar(&how.urls.Postgres, "postgres", "", "the PostgreSQL of the peer postgres: `URL`")
	flags.String("a", "", "target of a: `URL`; default --target")
	flags.String("b", "", "target of b: `URL`; or baseline, or a peer ("+strings.Join(append(peers.Names(), peers.Gates()...), ", ")+"): one that is started, with answers as long as a's; or raw: Redis itself")
	addSideFlags(flags)
	if err := cli.Parse(flags, args, stderr); err != nil {
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
		*seedUsers = a.source.Config.Data.Users()
	}
	if err := b.start(ctx, a, how, *seedUsers, stderr); err != nil {
		return fmt.Errorf("b: %w", err)
	}
	defer b.close()

	res := source.NewResult(ctx, "pairs", flags, &a.flags, a.source, a.meters)
	res.Scenario = a.label() + " / " + b.label()
	res.Pairs = &result.Pairs{}
	fmt.Fprintf(stdout, "| pair | a: %s, answers/s | b: %s, answers/s | a/b | a p99 ms | b p99 ms | a/b |\n|---|---|---|---|---|---|---|\n", a.label(), b.label())
	for i := range *pairs {
		first, second := a, b
		if i%2 == 1 { // so that neither has the better place
			first, second = b, a
		}
		var runs [2]*result.Run
		for k, s := range []*side{first, second} {
			r, err := s.source.Measure(ctx, stderr, s.meters, s.flags.Rate, s.flags.Seconds, s.flags.Seed+uint64(i))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			r.Side, r.Label = s.name, s.label()
			runs[k] = r
			res.Runs = append(res.Runs, *r)
		}
		if ctx.Err() != nil {
			break
		}
		if i%2 == 1 {
			runs[0], runs[1] = runs[1], runs[0]
		}
		res.Pairs.Add(runs[0], runs[1])
		fmt.Fprintf(stdout, "| %d | %.0f | %.0f | %.3f | %s | %s | %.2f |\n", i+1, runs[0].Achieved, runs[1].Achieved, last(res.Pairs.Ratios),
			result.Millis(runs[0].Latency.P99), result.Millis(runs[1].Latency.P99), last(res.Pairs.P99Ratios))
	}
	res.Pairs.Sum()
	res.Pairs.Require(*atLeast, *p99AtMost)
	res.Pairs.Print(stdout)
	printSides(stdout, res.Runs)
	printMeans(stdout, res.Runs)
	return res.End(*out)
}

// printSides prints a Markdown table of each side's rate and latency: medians of its valid runs, with the lowest and the highest.
func printSides(w io.Writer, runs []result.Run) {
	fmt.Fprint(w, "\n| load | answers/s | p50 | p90 | p99 |\n|---|---|---|---|---|\n")
	for _, g := range quantity.Group(runs) {
		fmt.Fprintf(w, "| %s | %s |", g.Kind, quantity.Plain.Spread(g.Of(func(r *result.Run) float64 { return r.Achieved })))
		for _, at := range []func(*result.Run) float64{
			func(r *result.Run) float64 { return r.Latency.P50 }, func(r *result.Run) float64 { return r.Latency.P90 }, func(r *result.Run) float64 { return r.Latency.P99 },
		} {
			fmt.Fprintf(w, " %s |", quantity.Microseconds.Spread(g.Of(at)))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

// printMeans prints the mean of each figure by side, and the ratios of those that both have.
func printMeans(w io.Writer, runs []result.Run) {
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
		for _, name := range slices.Sorted(maps.Keys(sums)) {
			means[side][name] = sums[name] / counts[name]
			fmt.Fprintf(w, "; %s %.4g", name, means[side][name])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "a/b")
	for _, name := range slices.Sorted(maps.Keys(means["a"])) {
		if b, ok := means["b"][name]; ok {
			fmt.Fprintf(w, "; %s %.2f", name, result.Ratio(means["a"][name], b))
		}
	}
	fmt.Fprintln(w)
}

func last(s []float64) float64 { return s[len(s)-1] }
