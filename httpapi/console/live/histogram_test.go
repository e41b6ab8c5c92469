package live

import (
	"math"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// Percentiles against values that were worked out by hand: within a bucket they grow evenly, from the bound below to that above.
func TestHistogram_Percentile(t *testing.T) {
	bounds := []float64{1, 2, 4, 8}
	for _, c := range []struct {
		name     string
		observed buckets
		want     map[float64]float64
	}{
		{"none", buckets{}, map[float64]float64{0.5: math.NaN(), 0.99: math.NaN()}},
		{"one, in the first bucket", buckets{1}, map[float64]float64{0.5: 0.5, 1: 1}},
		{"one, in a later bucket", buckets{0, 0, 1}, map[float64]float64{0.5: 3, 0.9: 3.8, 1: 4}},
		{"spread", buckets{50, 30, 15, 5}, map[float64]float64{0.25: 0.5, 0.5: 1, 0.65: 1.5, 0.8: 2, 0.9: 2 + 2*10.0/15, 0.95: 4, 0.99: 4 + 4*4.0/5, 1: 8}},
		{"with an empty bucket between", buckets{50, 0, 0, 50}, map[float64]float64{0.5: 1, 0.51: 4 + 4*1.0/50, 1: 8}},
		{"above the last bound", buckets{1, 0, 0, 0, 99}, map[float64]float64{0.01: 1, 0.5: 8, 1: 8}},
		{"all above the last bound", buckets{0, 0, 0, 0, 3}, map[float64]float64{0.5: 8}},
	} {
		var h histogram
		h.add(bounds, &c.observed, 3)
		for share, want := range c.want {
			if got := h.percentile(share); math.Abs(got-want) > 1e-9 && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("%s: the %v percentile is %v, want %v", c.name, 100*share, got, want)
			}
		}
	}
}

// Only what the last samples have observed counts, in whatever place of the ring it is.
func TestHistogram_ForgetsWhatIsOld(t *testing.T) {
	var h histogram
	bounds := []float64{1, 2}
	for second := range 25 {
		h.begin([]int{second % window})
		observed := buckets{100}
		if second >= 15 {
			observed = buckets{0, 100}
		}
		h.add(bounds, &observed, second%window)
		if got := h.percentile(0.5); second == 14 && got != 0.5 || second == 24 && got != 1.5 {
			t.Errorf("after %d seconds the median is %v", second, got)
		}
	}
	h.add([]float64{1}, &buckets{0, 7}, 0) // of another kind
	if got := h.percentile(0.5); got != 1.5 {
		t.Errorf("observations with other bounds count: the median is %v", got)
	}
}

// cumulative is a histogram as Prometheus has it.
func cumulative(bounds []float64, counts ...uint64) *dto.Histogram {
	h, sum := &dto.Histogram{}, uint64(0)
	for i, n := range counts {
		sum += n
		upTo := sum
		if i < len(bounds) {
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &bounds[i], CumulativeCount: &upTo})
		}
	}
	h.SampleCount = &sum
	return h
}

func TestObservations_Take(t *testing.T) {
	bounds := []float64{1, 2}
	var o observations
	for _, step := range []struct {
		name string
		is   *dto.Histogram
		want buckets
		ok   bool
	}{
		{"the first time", cumulative(bounds, 3, 2, 1), buckets{3, 2, 1}, true},
		{"nothing new", cumulative(bounds, 3, 2, 1), buckets{}, true},
		{"more", cumulative(bounds, 4, 2, 5), buckets{1, 0, 4}, true},
		{"set back", cumulative(bounds, 1, 0, 6), buckets{1, 0, 6}, true},
		{"with a bucket for all", cumulative([]float64{1, 2, math.Inf(1)}, 2, 0, 6), buckets{1, 0, 0}, true},
		{"with other buckets", cumulative([]float64{1}, 1, 1), buckets{1, 1}, true},
		{"without buckets", cumulative(nil, 3), buckets{}, false},
		{"with too many", cumulative(make([]float64, mostBuckets), make([]uint64, mostBuckets)...), buckets{}, false},
		{"none", nil, buckets{}, false},
	} {
		if got, ok := o.take(step.is); got != step.want || ok != step.ok {
			t.Errorf("%s: %v, %v, want %v, %v", step.name, got, ok, step.want, step.ok)
		}
	}
}
