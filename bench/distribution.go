package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

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

// fill puts what happened into run.
func (o *outcome) fill(run *Run) error {
	t := o.total
	run.Due, run.Answered, run.Late, run.Dropped, run.Errors, run.Wrong, run.Bytes = o.due, t.answered, t.late, t.dropped, t.errors, t.wrong, t.bytes
	run.Seconds = o.length.Seconds()
	if run.Seconds > 0 {
		run.Achieved = float64(t.answered) / run.Seconds
	}
	var err error
	if run.Latency, err = newDistribution(t.latency); err != nil {
		return err
	}
	run.Service = run.Latency
	if t.service != nil {
		if run.Service, err = newDistribution(t.service); err != nil {
			return err
		}
	}
	for i := range t.series {
		run.Series = append(run.Series, t.series[i].point(i))
	}
	run.FirstError = t.firstError
	run.Invalid = o.invalid()
	return nil
}

// write writes NAME.json, and NAME-RUN.hgrm for each run that has answers. An
// empty name writes nothing.
func (r *Result) write(name string) error {
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".json", append(b, '\n'), 0o666); err != nil {
		return err
	}
	for i := range r.Runs {
		if err := r.Runs[i].writePercentiles(fmt.Sprintf("%s-%d.hgrm", name, i+1)); err != nil {
			return err
		}
	}
	return nil
}

// writePercentiles writes the run's latency in milliseconds, as HdrHistogram's tools read it.
func (r *Run) writePercentiles(name string) (err error) {
	if r.Latency.HDR == "" {
		return nil
	}
	h, err := r.Latency.histogram()
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriter(f)
	if _, err := h.PercentilesPrint(w, 5, float64(time.Millisecond)); err != nil {
		return err
	}
	return w.Flush()
}

// print writes the run in a few lines.
func (r *Run) print(w io.Writer) {
	offered := "closed loop"
	if r.Mode == "open" {
		offered = fmt.Sprintf("open loop, %.0f requests/s due, %s", r.Rate, r.Schedule)
	}
	fmt.Fprintf(w, "%s%s: %s, %d connections, %.1f s\n", strings.TrimPrefix(r.Side+" ", " "), r.Label, offered, r.Connections, r.Seconds)
	fmt.Fprintf(w, "  %.0f answers/s; %d due, %d answered, %d late, %d dropped, %d errors, %d wrong\n", r.Achieved, r.Due, r.Answered, r.Late, r.Dropped, r.Errors, r.Wrong)
	line := func(what string, d *Distribution) {
		fmt.Fprintf(w, "  %-8s p50 %s  p90 %s  p99 %s  p99.9 %s  max %s ms\n", what, ms(d.P50), ms(d.P90), ms(d.P99), ms(d.P999), ms(d.Max))
	}
	line("latency", &r.Latency)
	if r.Service != r.Latency {
		line("service", &r.Service)
	}
	for _, name := range sortedNames(r.Figures) {
		fmt.Fprintf(w, "  %s %.4g\n", name, r.Figures[name])
	}
	if r.FirstError != "" {
		fmt.Fprintf(w, "  first error: %s\n", r.FirstError)
	}
	if r.Invalid != "" {
		fmt.Fprintf(w, "  INVALID: %s\n", r.Invalid)
	}
}

// ms formats microseconds as milliseconds.
func ms(micros float64) string { return fmt.Sprintf("%.3f", micros/1000) }
