package measure

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// objective is what a rate must hold: every one of its limits.
type objective struct {
	text      string
	latencies []latencyLimit
	errors    float64 // the part of the requests that may fail; 1 if there is no such limit
}

// latencyLimit says that a percentile of the latency must be less than most.
type latencyLimit struct {
	percentile float64 // p99 is 99
	most       time.Duration
}

// parseObjective reads an objective such as p99<5ms,err<0.01%.
func parseObjective(text string) (objective, error) {
	o := objective{text: text, errors: 1}
	for limit := range strings.SplitSeq(text, ",") {
		name, most, ok := strings.Cut(strings.TrimSpace(limit), "<")
		bad := fmt.Errorf("%q is not a limit such as p99<5ms or err<0.01%%", limit)
		if !ok {
			return o, bad
		}
		if name == "err" {
			number, isPercent := strings.CutSuffix(most, "%")
			v, err := strconv.ParseFloat(number, 64)
			if isPercent {
				v /= 100
			}
			if err != nil || !(v > 0 && v <= 1) {
				return o, bad
			}
			o.errors = v
			continue
		}
		number, isPercentile := strings.CutPrefix(name, "p")
		p, err := strconv.ParseFloat(number, 64)
		d, err2 := time.ParseDuration(most)
		if !isPercentile || err != nil || err2 != nil || !(p > 0 && p < 100) || d <= 0 {
			return o, bad
		}
		o.latencies = append(o.latencies, latencyLimit{percentile: p, most: d})
	}
	return o, nil
}

// held says why a run did not hold the objective, "" if it did. A request that
// was never sent, or was answered with an untruth, has failed.
func (o objective) held(run *result.Run) (cause string, err error) {
	if run.Invalid != "" {
		return "invalid: " + run.Invalid, nil
	}
	failed := run.Errors + run.Wrong + run.Dropped
	if o.errors < 1 && float64(failed) >= o.errors*float64(run.Due) && failed > 0 {
		return fmt.Sprintf("%d of %d failed", failed, run.Due), nil
	}
	h, err := run.Latency.Histogram()
	if err != nil {
		return "", err
	}
	for _, l := range o.latencies {
		if at := time.Duration(h.ValueAtQuantile(l.percentile)); at >= l.most {
			return fmt.Sprintf("p%g was %v", l.percentile, at.Round(time.Microsecond)), nil
		}
	}
	return "", nil
}
