package result

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Print writes the run in a few lines; times are in milliseconds.
func (r *Run) Print(w io.Writer) {
	offered := "closed loop"
	if r.Mode == "open" {
		offered = fmt.Sprintf("open loop, %.0f requests/s due, %s", r.Rate, r.Schedule)
	}
	fmt.Fprintf(w, "%s%s: %s, %d connections, %.1f s\n", strings.TrimPrefix(r.Side+" ", " "), r.Label, offered, r.Connections, r.Seconds)
	fmt.Fprintf(w, "  %.0f answers/s; %d due, %d answered, %d late, %d dropped, %d errors, %d wrong\n", r.Achieved, r.Due, r.Answered, r.Late, r.Dropped, r.Errors, r.Wrong)
	line := func(what string, d *Distribution) {
		fmt.Fprintf(w, "  %-8s p50 %s  p90 %s  p99 %s  p99.9 %s  max %s ms\n", what, Millis(d.P50), Millis(d.P90), Millis(d.P99), Millis(d.P999), Millis(d.Max))
	}
	line("latency", &r.Latency)
	if r.Service != r.Latency {
		line("service", &r.Service)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(w, "  %s %.4g\n", name, r.Figures[name])
	}
	if r.FirstError != "" {
		fmt.Fprintf(w, "  first error: %s\n", r.FirstError)
	}
	if r.Invalid != "" {
		fmt.Fprintf(w, "  INVALID: %s\n", r.Invalid)
	}
}

// Millis formats microseconds as milliseconds, without the unit.
func Millis(micros float64) string { return fmt.Sprintf("%.3f", micros/1000) }
