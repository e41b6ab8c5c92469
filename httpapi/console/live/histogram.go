package live

import (
	"math"

	dto "github.com/prometheus/client_model/go"
)

// mostBuckets bounds the buckets of a histogram, the one without an upper bound included.
const mostBuckets = 20

// buckets are how many observations each bucket of a histogram has.
type buckets [mostBuckets]uint64

// histogram follows a histogram, or several with the same bounds. The zero one has no bounds yet.
type histogram struct {
	bounds []float64 // the upper ones; one more bucket has none
	recent [window]buckets
}

func (h *histogram) begin(places []int) {
	for _, i := range places {
		h.recent[i] = buckets{}
	}
}

// add adds what was observed in a sample. What has other bounds is left out.
func (h *histogram) add(bounds []float64, observed *buckets, place int) {
	if h.bounds == nil {
		h.bounds = bounds
	}
	if len(h.bounds) != len(bounds) {
		return
	}
	for i := range h.recent[place] {
		h.recent[place][i] += observed[i]
	}
}

// percentile estimates the value that a share of all recent observations is not above, as Prometheus' histogram_quantile() does: it
// takes the observations of a bucket as spread evenly over it. So it is exact to the width of the bucket, and where it is
// in the bucket without an upper bound it is that bucket's lower one. It is NaN without observations.
func (h *histogram) percentile(share float64) float64 {
	var sum buckets
	total := uint64(0)
	for i := range h.recent {
		for j, n := range h.recent[i] {
			sum[j] += n
			total += n
		}
	}
	if total == 0 {
		return math.NaN()
	}
	rank, below := share*float64(total), 0.0
	lower := 0.0
	for i, upper := range h.bounds {
		n := float64(sum[i])
		if n > 0 && below+n >= rank {
			return lower + (upper-lower)*(rank-below)/n
		}
		below, lower = below+n, upper
	}
	return lower
}

// observations follows one histogram of the program.
type observations struct {
	bounds []float64
	total  buckets
}

// take takes its value, and returns what was observed since the last one. ok is false for what cannot be followed.
func (o *observations) take(value *dto.Histogram) (observed buckets, ok bool) {
	given := value.GetBucket()
	n := len(given)
	if n > 0 && math.IsInf(given[n-1].GetUpperBound(), 1) {
		n--
	}
	if n == 0 || n >= mostBuckets {
		return observed, false
	}
	if len(o.bounds) != n {
		*o = observations{bounds: make([]float64, n)}
		for i, b := range given[:n] {
			o.bounds[i] = b.GetUpperBound()
		}
	}
	var now buckets
	below, fell := uint64(0), false
	for i := range n + 1 {
		upTo := value.GetSampleCount()
		if i < n {
			upTo = given[i].GetCumulativeCount()
		}
		now[i] = max(upTo, below) - below
		below = max(upTo, below)
		fell = fell || now[i] < o.total[i]
	}
	observed = now
	if !fell { // else it was set back to 0 before
		for i := range observed {
			observed[i] -= o.total[i]
		}
	}
	o.total = now
	return observed, true
}

// count is how many there are.
func (b *buckets) count() (n uint64) {
	for _, each := range b {
		n += each
	}
	return n
}
