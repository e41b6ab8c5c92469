package observed

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Counts returns how often each metric has counted, by its name and the values of its labels, with spaces between: the value
// of a counter, the number of observations of a histogram, 0 for all others.
func Counts(t testing.TB, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			counts[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return counts
}
