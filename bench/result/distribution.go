package result

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// Longest is the longest time that a histogram takes; longer ones are recorded as this.
	Longest = 2 * time.Minute
	figures = 3 // significant, of each time
)

// NewHistogram returns an empty histogram of times in nanoseconds, from 1 to
// Longest, exact to three digits. It is not safe for concurrent use.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(Longest), figures)
}

// NewDistribution sums up a histogram of nanoseconds; of nil or of an empty one it
// is zero. It fails only if the histogram cannot be encoded.
func NewDistribution(h *hdrhistogram.Histogram) (Distribution, error) {
	if h == nil || h.TotalCount() == 0 {
		return Distribution{}, nil
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return Distribution{}, err
	}
	at := func(percentile float64) float64 { return Micros(time.Duration(h.ValueAtQuantile(percentile))) }
	return Distribution{
		Count: uint64(h.TotalCount()), Mean: h.Mean() / 1000,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: Micros(time.Duration(h.Max())),
		HDR: string(encoded),
	}, nil
}

// Histogram is the inverse of NewDistribution: a histogram of nanoseconds, empty if
// there is no HDR. It fails if HDR is not one.
func (d *Distribution) Histogram() (*hdrhistogram.Histogram, error) {
	if d.HDR == "" {
		return NewHistogram(), nil
	}
	return hdrhistogram.Decode([]byte(d.HDR))
}

// Micros returns a time as a Distribution and a Point have it, in microseconds.
func Micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
