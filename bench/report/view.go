package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// closedWarning stands wherever the latencies of a closed loop are shown.
const closedWarning = "The next request waits for the last answer, so these latencies hide queueing (“coordinated omission”). " +
	"They must not be compared with those of an open loop."

// pageView is what the pattern shows.
type pageView struct {
	Title    string
	Sections []*sectionView
}

// sectionView is one result file.
type sectionView struct {
	Number               int
	File, Kind, Scenario string
	Started, Command     string
	Outcome              string
	Invalid, Total       int
	Closed               string // closedWarning, "" if no run was closed
	Wrong                uint64
	Peers                []peersView
	Loads, Figures       tableView
	Tries                tableView
	Runs                 []runView
	Plots                []*figureView
	Environment          []factView
}

// factView is a fact about the environment.
type factView struct{ Name, Value string }

// runView is one run as a row of the table of runs.
type runView struct {
	Cells               []cellView
	Invalid, FirstError string
}

func newSection(number int, r *result.File) (*sectionView, error) {
	s := &sectionView{
		Number: number, File: r.Name, Kind: quantity.OrNone(r.Kind), Scenario: quantity.OrNone(r.Scenario),
		Started: r.Started.UTC().Format("2006-01-02 15:04:05 UTC"), Command: strings.Join(r.Command, " "),
		Outcome: summary(&r.Result), Total: len(r.Runs), Environment: facts(&r.Environment),
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Invalid != "" {
			s.Invalid++
		}
		if run.Mode == "closed" {
			s.Closed = closedWarning
		}
		s.Wrong += run.Wrong
		s.Runs = append(s.Runs, newRunView(i+1, run))
	}
	groups := quantity.Group(r.Runs)
	if r.Max != nil {
		slices.SortStableFunc(groups, func(a, b *quantity.Repeats) int { return cmp.Compare(a.Rate, b.Rate) })
	}
	s.Loads = loadsTable(groups)
	if r.Kind == "peers" {
		s.Peers = peersViews(&r.Result)
	} else {
		s.Figures = figuresTable(groups)
	}
	if r.Max != nil {
		s.Tries = triesTable(r.Max)
	}
	err := s.addPlots(&r.Result)
	return s, err
}

// addPlots adds the plots for which there is data.
func (s *sectionView) addPlots(r *result.Result) error {
	if r.Kind == "peers" {
		var err error
		s.Plots, err = peersFigures(r)
		return err
	}
	ratios, err := ratioFigures(r)
	if err != nil {
		return err
	}
	rates, err := rateFigures(r)
	if err != nil {
		return err
	}
	percentiles, err := percentilesFigure(r)
	if err != nil {
		return err
	}
	times, err := timeFigures(r)
	if err != nil {
		return err
	}
	s.Plots = slices.Concat(ratios, rates)
	if percentiles != nil {
		s.Plots = append(s.Plots, percentiles)
	}
	s.Plots = append(s.Plots, times...)
	return nil
}

// summary says in a line what came out.
func summary(r *result.Result) string {
	switch {
	case r.Max != nil && r.Max.Rate > 0:
		return fmt.Sprintf("Highest rate that holds %s: %s.", r.Max.Objective, quantity.MaxText(r.Max.Rate, quantity.MaxInterval(r.Max)))
	case r.Max != nil:
		return fmt.Sprintf("No rate held %s.", r.Max.Objective)
	case r.Pairs != nil:
		rates, p99s := quantity.PairRatios(r)
		s := fmt.Sprintf("Median a/b of %d valid pairs (lowest–highest): rate %s, p99 %s.", len(rates), quantity.Plain.Spread(rates), quantity.Plain.Spread(p99s))
		for _, verdict := range quantity.RequirementVerdicts(r) {
			s += " Required " + verdict + "."
		}
		return s
	}
	if r.Kind == "peers" {
		return peersSummary(r)
	}
	groups := quantity.Group(r.Runs)
	if len(groups) == 1 && len(groups[0].Valid) > 0 {
		g := groups[0]
		return fmt.Sprintf("%s: p99 %s, p50 %s, achieved %s; median of %d valid runs.", g.Kind,
			quantity.Microseconds.Spread(g.Of(func(r *result.Run) float64 { return r.Latency.P99 })), quantity.Microseconds.Spread(g.Of(func(r *result.Run) float64 { return r.Latency.P50 })),
			quantity.PerSecond.Spread(g.Of(func(r *result.Run) float64 { return r.Achieved })), len(g.Valid))
	}
	return ""
}

// facts lists the environment, as far as it is known.
func facts(e *result.Environment) []factView {
	all := []factView{
		{"commit", e.Commit},
		{"Go", e.Go},
		{"kernel", e.Kernel},
		{"CPU", e.CPU},
		{"cores", strconv.Itoa(e.Cores)},
		{"Redis", e.Redis},
		{"Redis settings", settings(e.RedisSettings, "")},
		{"PostgreSQL", e.Postgres},
		{"placement", e.Placement},
		{"target", settings(e.Target, "")},
		{"flags", settings(e.Flags, "--")},
		{"seed", strconv.FormatUint(e.Seed, 10)},
	}
	return slices.DeleteFunc(all, func(f factView) bool { return f.Value == "" || f.Value == "0" && f.Name == "cores" })
}

// settings lists m by name.
func settings(m map[string]string, prefix string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, prefix+name+"="+m[name])
	}
	return strings.Join(all, "\n")
}
