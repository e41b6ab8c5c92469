// Package quantity takes out of results what is compared and shown: the runs by
// load, a value for each of them, and how such values are written. Look here when
// compare and report say the same thing wrong.
package quantity

import (
	"maps"
	"slices"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// Quantity is one number of each run.
type Quantity struct {
	Name  string
	Unit  Unit
	Value func(*result.Run) float64
}

// OfRun are the quantities that are shown and compared for each load.
var OfRun = []Quantity{
	{"achieved", PerSecond, func(r *result.Run) float64 { return r.Achieved }},
	{"latency p50", Microseconds, func(r *result.Run) float64 { return r.Latency.P50 }},
	{"latency p99", Microseconds, func(r *result.Run) float64 { return r.Latency.P99 }},
	{"latency p99.9", Microseconds, func(r *result.Run) float64 { return r.Latency.P999 }},
	{"errors", Share, func(r *result.Run) float64 { return ofDue(r.Errors, r) }},
	{"wrong", Share, func(r *result.Run) float64 { return ofDue(r.Wrong, r) }},
	{"late", Share, func(r *result.Run) float64 { return ofDue(r.Late, r) }},
	{"dropped", Share, func(r *result.Run) float64 { return ofDue(r.Dropped, r) }},
}

// ofDue returns n as a share of the requests that were due.
func ofDue(n uint64, r *result.Run) float64 { return float64(n) / float64(max(r.Due, 1)) }

// FigureNames returns the names of the scenario's own figures, sorted.
func FigureNames(runs []Numbered) []string {
	names := map[string]bool{}
	for _, run := range runs {
		for name := range run.Figures {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Figure returns the scenario's own figure with that name, of each run that has it.
func Figure(runs []Numbered, name string) Sample {
	var values Sample
	for _, run := range runs {
		if v, ok := run.Figures[name]; ok {
			values = append(values, v)
		}
	}
	return values
}
