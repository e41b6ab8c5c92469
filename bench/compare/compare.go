// Package compare is bench compare: it puts two result files side by side, and says
// which differences are more than noise. Look here when you doubt a verdict.
package compare

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// Command is bench compare: it prints two result files side by side, with their noise.
func Command(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: bench compare A.json B.json [flags]")
		flags.PrintDefaults()
	}
	force := flags.Bool("force", false, "compare also different scenarios and objectives, and the only load of A with the only load of B")
	markdown := flags.Bool("markdown", false, "print Markdown")
	names, err := cli.ParseFiles(flags, args, stderr)
	if err != nil {
		return err
	}
	if len(names) != 2 {
		return fmt.Errorf("compare: two result files are required, not %d", len(names))
	}
	a, err := result.Read(names[0])
	if err != nil {
		return err
	}
	b, err := result.Read(names[1])
	if err != nil {
		return err
	}
	c, err := compareResults(a, b, *force)
	if err != nil {
		return err
	}
	if *markdown {
		return c.markdown(stdout)
	}
	return c.text(stdout)
}

// comparison is what can be said about two results.
type comparison struct {
	a, b     *result.File
	warnings []string
	tables   []comparisonTable
}

type comparisonTable struct {
	title string
	rows  []comparisonRow
}

// comparisonRow is one quantity of A and of B, as it is printed.
type comparisonRow struct {
	name, a, b, change, verdict, decided string
}

// compareResults compares what is comparable. Different scenarios are refused unless forced.
func compareResults(a, b *result.File, force bool) (*comparison, error) {
	c := &comparison{a: a, b: b}
	if a.Scenario != b.Scenario {
		if !force {
			return nil, fmt.Errorf("compare: A measured %q, B %q; --force compares them nevertheless", a.Scenario, b.Scenario)
		}
		c.warn("scenario differs: A %s, B %s", a.Scenario, b.Scenario)
	}
	if a.Kind != b.Kind {
		c.warn("kind differs: A %s, B %s", a.Kind, b.Kind)
	}
	c.warnings = append(c.warnings, environmentWarnings(&a.Environment, &b.Environment)...)
	c.warnAboutRuns("A", a.Runs)
	c.warnAboutRuns("B", b.Runs)
	if a.Pairs != nil && b.Pairs != nil {
		c.addPairs()
	}
	if a.Max != nil && b.Max != nil {
		if a.Max.Objective != b.Max.Objective {
			if !force {
				return nil, fmt.Errorf("compare: A held %q, B %q; --force compares them nevertheless", a.Max.Objective, b.Max.Objective)
			}
			c.warn("objective differs: A %s, B %s", a.Max.Objective, b.Max.Objective)
		}
		c.addMax()
	}
	c.addRuns(force)
	if len(c.tables) == 0 {
		return nil, fmt.Errorf("compare: %s and %s have no load in common", a.Name, b.Name)
	}
	return c, nil
}

func (c *comparison) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// warnAboutRuns warns about runs that are left out, and those whose answers were not the truth.
func (c *comparison) warnAboutRuns(side string, runs []result.Run) {
	for i := range runs {
		switch run := &runs[i]; {
		case run.Invalid != "":
			c.warn("%s run %d is INVALID and left out: %s", side, i+1, run.Invalid)
		case run.Wrong > 0:
			c.warn("%s run %d: wrong answers: %d", side, i+1, run.Wrong)
		}
	}
}

// addRuns adds a table for each load that both files have.
func (c *comparison) addRuns(force bool) {
	inA, inB := quantity.Group(c.a.Runs), quantity.Group(c.b.Runs)
	only := force && len(inA) == 1 && len(inB) == 1
	for _, a := range inA {
		i := slices.IndexFunc(inB, func(b *quantity.Repeats) bool { return only || b.Kind == a.Kind })
		if i < 0 {
			c.warn("only in A: %s", a.Kind)
			continue
		}
		b := inB[i]
		inB = slices.Delete(inB, i, i+1)
		title := a.Kind.String()
		if a.Kind != b.Kind {
			title = fmt.Sprintf("A %s; B %s", a.Kind, b.Kind)
		}
		if len(a.Valid) == 0 || len(b.Valid) == 0 {
			c.warn("no valid run on both sides: %s", title)
			continue
		}
		c.warnings = append(c.warnings, loadWarnings(a, b)...)
		c.tables = append(c.tables, comparisonTable{
			title: fmt.Sprintf("%s: A %d runs, B %d", title, len(a.Valid), len(b.Valid)),
			rows:  runRows(a, b),
		})
	}
	for _, b := range inB {
		c.warn("only in B: %s", b.Kind)
	}
}

func runRows(a, b *quantity.Repeats) []comparisonRow {
	var rows []comparisonRow
	for _, q := range quantity.OfRun {
		rows = append(rows, newRow(q.Name, q.Unit, unitWords[q.Unit], a.Of(q.Value), b.Of(q.Value)))
	}
	for _, name := range quantity.FigureNames(a.Valid) {
		rows = append(rows, newRow(name, quantity.Plain, unitWords[quantity.Plain], quantity.Figure(a.Valid, name), quantity.Figure(b.Valid, name)))
	}
	return rows
}

// addPairs compares the ratios a/b within each file.
func (c *comparison) addPairs() {
	ratesA, p99sA := quantity.PairRatios(&c.a.Result)
	ratesB, p99sB := quantity.PairRatios(&c.b.Result)
	title := fmt.Sprintf("Ratios a/b of pairs: A %d, B %d", len(ratesA), len(ratesB))
	var requirements []string
	for _, p := range []*result.Pairs{c.a.Pairs, c.b.Pairs} {
		for _, r := range quantity.RequirementTexts(p.Requirement) {
			if !slices.Contains(requirements, r) {
				requirements = append(requirements, r)
			}
		}
	}
	if len(requirements) > 0 {
		title += "; required " + strings.Join(requirements, ", ")
	}
	c.tables = append(c.tables, comparisonTable{title, []comparisonRow{
		newRow("rate a/b", quantity.Plain, higherIsFaster, ratesA, ratesB),
		newRow("p99 a/b", quantity.Plain, lowerIsFaster, p99sA, p99sB),
	}})
}
