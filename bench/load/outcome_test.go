package load

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

func TestOutcome_Invalid(t *testing.T) {
	f := func(want string, o Outcome) {
		t.Helper()
		if got := o.invalid(); (got == "") != (want == "") || !bytes.Contains([]byte(got), []byte(want)) {
			t.Errorf("%+v: %q, want %q", o, got, want)
		}
	}
	f("", Outcome{due: 1000, total: &recorder{answered: 1000}})
	f("", Outcome{due: 1000, total: &recorder{answered: 500, late: 500, dropped: 500}}) // the program's fault
	f("", Outcome{due: 10_000, total: &recorder{answered: 10_000, lateOurs: 100}})
	f("the generator was the bottleneck", Outcome{due: 10_000, total: &recorder{answered: 10_000, lateOurs: 101}})
	f("interrupted", Outcome{due: 10, interrupted: true, total: &recorder{answered: 10}})
	f("nothing was answered", Outcome{due: 10, total: &recorder{errors: 10}})
}

func TestRecorder_Fill(t *testing.T) {
	r := newRecorder(true, 2*time.Second)
	for i := range 1000 {
		at := time.Duration(i) * 2 * time.Millisecond
		r.answer(at, time.Duration(i+1)*time.Microsecond, time.Microsecond)
	}
	r.fail(1999*time.Millisecond, "first")
	r.fail(5*time.Second, "second") // after the last second
	o := &Outcome{total: r, due: 1002, length: 2 * time.Second}
	var run result.Run
	if err := o.Fill(&run); err != nil {
		t.Fatal(err)
	}
	if run.Due != 1002 || run.Answered != 1000 || run.Errors != 2 || run.Achieved != 500 || run.FirstError != "first" || run.Invalid != "" {
		t.Errorf("%+v", run)
	}
	about(t, "p50", run.Latency.P50, 500)
	about(t, "p99", run.Latency.P99, 990)
	about(t, "max", run.Latency.Max, 1000)
	about(t, "service", run.Service.P99, 1)
	if len(run.Series) != 2 || run.Series[0].Answered != 500 || run.Series[1].Errors != 1 {
		t.Errorf("%+v", run.Series)
	}
	h, err := run.Latency.Histogram()
	if err != nil || h.TotalCount() != 1000 {
		t.Fatalf("decoded: %v, %v", h, err)
	}
	about(t, "decoded p90", float64(h.ValueAtQuantile(90))/1000, run.Latency.P90)
}

func about(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.002*want+0.001 {
		t.Errorf("%s: %g, not about %g", what, got, want)
	}
}
