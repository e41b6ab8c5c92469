package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// objective is what a rate has to hold: p99<5ms,err<0.01%.
type objective struct {
	text    string
	bounds  []bound
	mostErr float64 // share of the requests that were due; 1 is any
}

type bound struct {
	name string // p50, p99, p99.9, …, max
	of   func(d *Distribution) float64
	most time.Duration
}

var quantiles = map[string]func(d *Distribution) float64{
	"p50":    func(d *Distribution) float64 { return d.P50 },
	"p90":    func(d *Distribution) float64 { return d.P90 },
	"p99":    func(d *Distribution) float64 { return d.P99 },
	"p99.9":  func(d *Distribution) float64 { return d.P999 },
	"p99.99": func(d *Distribution) float64 { return d.P9999 },
	"max":    func(d *Distribution) float64 { return d.Max },
}

func parseObjective(s string) (objective, error) {
	o := objective{text: s, mostErr: 1}
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "<")
		if !ok {
			return o, fmt.Errorf("--slo: %q is not like p99<5ms or err<0.01%%", part)
		}
		if name == "err" {
			percent, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
			if err != nil || !strings.HasSuffix(value, "%") || percent < 0 || percent > 100 {
				return o, fmt.Errorf("--slo: %q is not a share like 0.01%%", value)
			}
			o.mostErr = percent / 100
			continue
		}
		of, known := quantiles[name]
		most, err := time.ParseDuration(value)
		if !known || err != nil || most <= 0 {
			return o, fmt.Errorf("--slo: %q: the name must be p50, p90, p99, p99.9, p99.99, max or err, and its bound a duration", part)
		}
		o.bounds = append(o.bounds, bound{name, of, most})
	}
	if len(o.bounds) == 0 {
		return o, fmt.Errorf("--slo: %q bounds no latency", s)
	}
	return o, nil
}

// held says whether a run held the objective, and if not, why. Requests that
// were dropped, failed or were answered wrongly are errors.
func (o *objective) held(r *Run) (held bool, cause string) {
	if r.Invalid != "" {
		return false, "invalid: " + r.Invalid
	}
	if r.Due > 0 {
		if share := float64(r.Errors+r.Wrong+r.Dropped) / float64(r.Due); share > 0 && share >= o.mostErr {
			return false, fmt.Sprintf("err %.4f%%", share*100)
		}
	}
	for _, b := range o.bounds {
		if got := b.of(&r.Latency); got >= micros(b.most) {
			return false, fmt.Sprintf("%s %s ms", b.name, ms(got))
		}
	}
	return true, ""
}
