package experiment

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"golang.org/x/sync/errgroup"
)

// together has so many workers work until all have ended, and notes how long that is since begin. A run that ctx
// has interrupted is invalid, whatever they answer; else the first error that one of them has is the answer.
func together(ctx context.Context, run *result.Run, begin time.Time, workers int, work func(n int) error) error {
	var group errgroup.Group
	for n := range workers {
		group.Go(func() error { return work(n) })
	}
	failed := group.Wait()
	run.Seconds = time.Since(begin).Seconds()
	if ctx.Err() != nil {
		run.Invalid = "interrupted"
		return nil
	}
	return failed
}

// record puts how long something took into a histogram.
func record(h *hdrhistogram.Histogram, took time.Duration) {
	_ = h.RecordValue(int64(min(took, result.Longest)))
}

// fillRun takes a run's latency and service from two histograms, and figures of them.
func fillRun(r *result.Run, latency, service *hdrhistogram.Histogram, latencyName, serviceName string) error {
	var err error
	if r.Latency, err = result.NewDistribution(latency); err != nil {
		return err
	}
	if r.Service, err = result.NewDistribution(service); err != nil {
		return err
	}
	if r.Seconds > 0 {
		r.Achieved = float64(r.Answered) / r.Seconds
	}
	for name, d := range map[string]*result.Distribution{latencyName: &r.Latency, serviceName: &r.Service} {
		r.Figures[name+"_count"] = float64(d.Count)
		r.Figures[name+"_p50_ms"] = d.P50 / 1000
		r.Figures[name+"_p99_ms"] = d.P99 / 1000
		r.Figures[name+"_max_ms"] = d.Max / 1000
	}
	return nil
}
