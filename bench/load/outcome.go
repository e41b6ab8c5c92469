package load

import (
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// Outcome is what a run of the engine came to. Only requests count that were due
// after the warm-up.
type Outcome struct {
	total       *recorder
	due         uint64
	lag         time.Duration
	length      time.Duration // measured
	interrupted bool
	Hurried     bool // the generator went before all others
}

// allowedLate is which part of the requests the generator may send late by its
// own fault before the run proves nothing.
const allowedLate = 0.01

// invalid says why the run proves nothing, "" if it does.
func (o *Outcome) invalid() string {
	switch t := o.total; {
	case o.interrupted:
		return "interrupted"
	case t.answered == 0:
		return "nothing was answered"
	case t.lateOurs > 10 && float64(t.lateOurs) > allowedLate*float64(o.due):
		return fmt.Sprintf("the generator was the bottleneck: it saw %d of %d requests more than %v after they were due, up to %v",
			t.lateOurs, o.due, lateAfter, o.lag.Round(10*time.Microsecond))
	}
	return ""
}

// Fill puts what happened into run, and why it proves nothing if it does not.
func (o *Outcome) Fill(run *result.Run) error {
	t := o.total
	run.Due, run.Answered, run.Late, run.Dropped, run.Errors, run.Wrong, run.Bytes = o.due, t.answered, t.late, t.dropped, t.errors, t.wrong, t.bytes
	run.Seconds = o.length.Seconds()
	if run.Seconds > 0 {
		run.Achieved = float64(t.answered) / run.Seconds
	}
	var err error
	if run.Latency, err = result.NewDistribution(t.latency); err != nil {
		return err
	}
	run.Service = run.Latency
	if t.service != nil {
		if run.Service, err = result.NewDistribution(t.service); err != nil {
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

// Sheds is how many requests were shed: refused because there were too many.
func (o *Outcome) Sheds() uint64 { return o.total.sheds }

// ShedMillis returns a percentile, 0 to 100, of the time from sending a request
// until it was shed, in milliseconds; 0 if none was shed.
func (o *Outcome) ShedMillis(percentile float64) float64 {
	h := o.total.shed
	if h == nil || h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtQuantile(percentile)) / float64(time.Millisecond)
}
