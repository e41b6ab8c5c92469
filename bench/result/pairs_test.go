package result

import "testing"

func TestPairs_SumAndRequirement(t *testing.T) {
	var p Pairs
	p.Sum() // of nothing
	for _, a := range []float64{90, 120, 100} {
		p.Add(&Run{Achieved: a, Latency: Distribution{P99: 3}}, &Run{Achieved: 100, Latency: Distribution{P99: 1}})
	}
	p.Sum()
	if p.Median != 1 || p.Lowest != 0.9 || p.Highest != 1.2 || p.P99Median != 3 {
		t.Errorf("%+v", p)
	}
	if p.Require(0, 0); p.Requirement != "" {
		t.Error(p.Requirement)
	}
	if p.Require(1, 2); p.Requirement != "at least 1 × requests/s: met (1.000); at most 2 × p99: not met (3.00)" {
		t.Error(p.Requirement)
	}
	if m := Median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Error(m)
	}
}
