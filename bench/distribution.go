package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longest = 2 * time.Minute // longer times are recorded as this
	figures = 3               // significant, of each time
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(longest), figures)
}

// newDistribution sums up a histogram of nanoseconds.
func newDistribution(h *hdrhistogram.Histogram) (Distribution, error) {
	if h == nil || h.TotalCount() == 0 {
		return Distribution{}, nil
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return Distribution{}, err
	}
	at := func(percentile float64) float64 { return micros(time.Duration(h.ValueAtQuantile(percentile))) }
	return Distribution{
		Count: uint64(h.TotalCount()), Mean: h.Mean() / 1000,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: micros(time.Duration(h.Max())),
		HDR: string(encoded),
	}, nil
}

// histogram is the inverse of newDistribution.
func (d *Distribution) histogram() (*hdrhistogram.Histogram, error) {
	if d.HDR == "" {
		return newHistogram(), nil
	}
	return hdrhistogram.Decode([]byte(d.HDR))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
