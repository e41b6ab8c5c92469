package main

import (
	"maps"
	"slices"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// runQuantity is what a run is compared by.
type runQuantity struct {
	name  string
	unit  unit
	value func(*result.Run) float64
}

// runQuantities are shown and compared for each load.
var runQuantities = []runQuantity{
	{"achieved", perSecond, func(r *result.Run) float64 { return r.Achieved }},
	{"latency p50", microseconds, func(r *result.Run) float64 { return r.Latency.P50 }},
	{"latency p99", microseconds, func(r *result.Run) float64 { return r.Latency.P99 }},
	{"latency p99.9", microseconds, func(r *result.Run) float64 { return r.Latency.P999 }},
	{"errors", share, func(r *result.Run) float64 { return ofDue(r.Errors, r) }},
	{"wrong", share, func(r *result.Run) float64 { return ofDue(r.Wrong, r) }},
	{"late", share, func(r *result.Run) float64 { return ofDue(r.Late, r) }},
	{"dropped", share, func(r *result.Run) float64 { return ofDue(r.Dropped, r) }},
}

// ofDue returns n as a share of the requests that were due.
func ofDue(n uint64, r *result.Run) float64 { return float64(n) / float64(max(r.Due, 1)) }

// figureNames returns the names of the scenario's own figures.
func figureNames(runs []numbered) []string {
	names := map[string]bool{}
	for _, run := range runs {
		for name := range run.Figures {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// figure returns the figure of each run that has it.
func figure(runs []numbered, name string) sample {
	var values sample
	for _, run := range runs {
		if v, ok := run.Figures[name]; ok {
			values = append(values, v)
		}
	}
	return values
}
