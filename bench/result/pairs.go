package result

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Add adds the ratios of one pair. Sum must be called after the last.
func (p *Pairs) Add(a, b *Run) {
	p.Ratios = append(p.Ratios, Ratio(a.Achieved, b.Achieved))
	p.P99Ratios = append(p.P99Ratios, Ratio(a.Latency.P99, b.Latency.P99))
}

// Ratio is a/b, 0 if b is 0.
func Ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Sum fills in medians, lowest and highest ratio from the ratios.
func (p *Pairs) Sum() {
	p.Median, p.P99Median = Median(p.Ratios), Median(p.P99Ratios)
	if len(p.Ratios) > 0 {
		p.Lowest, p.Highest = slices.Min(p.Ratios), slices.Max(p.Ratios)
	}
}

// Require states in Requirement what was required of the medians, and whether it
// is met. 0 is no requirement. It is called after Sum.
func (p *Pairs) Require(atLeast, p99AtMost float64) {
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

// Print writes the medians, and the requirement if there is one.
func (p *Pairs) Print(w io.Writer) {
	fmt.Fprintf(w, "\na/b of requests/s: median **%.3f**, %.3f to %.3f, %d pairs. Of p99: median %.2f.\n", p.Median, p.Lowest, p.Highest, len(p.Ratios), p.P99Median)
	if p.Requirement != "" {
		fmt.Fprintf(w, "Required: %s.\n", p.Requirement)
	}
}

// Median is the mean of the middle two of an even number of values, 0 of none. It
// leaves all as it is.
func Median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
