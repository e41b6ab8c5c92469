package torture

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// TestMatrix goes through the faults of the table in docs/faults.md. While each lasts, and before and after, a load runs
// through all processes; every answer is held against the writes that were acknowledged.
func TestMatrix(t *testing.T) {
	hasTurn := testdepth.OneIn(t, 4)
	for round := range rounds {
		for i, f := range faults() {
			if !hasTurn(i) {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				shards := shardsOf(i + round)
				if f.mixed { // P = 1 in the first round
					shards = 1 + 3*(round%2)
				}
				torment(t, f, i*rounds+round, round, shards)
			})
		}
	}
}

// shardsOf spreads P = 1 and P = 4 over the rows, the other way in the next round, and perhaps with another seed.
func shardsOf(i int) int {
	if (int64(i)+seed)%2 == 0 {
		return 1
	}
	return 4
}

func torment(t *testing.T, f *fault, place, round, shards int) {
	w := newWorld(t, f, round, shards)
	w.load.start(t.Context())
	defer w.load.stop()
	w.warm()

	b := &before{
		unavailable: w.h.unavailable.Load(), begun: w.h.now(),
		lost: w.sum("cloakroom_near_links_lost_total"), flushes: w.sum("cloakroom_near_flushes_total"),
	}
	if w.proxy != nil {
		b.accepted = w.proxy.Accepted()
	}
	ended, felt := make(chan struct{}), make(chan bool)
	go func() {
		is := false
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			is = is || f.felt(w, b)
			select {
			case <-ended:
				tick.Stop()
				felt <- is || f.felt(w, b)
				return
			case <-tick.C:
			}
		}
	}()
	lost := f.run(w, faultTime)
	over := w.h.now()
	missing := w.h.missing(f.still, b.begun, over, 0, 1)
	for missing != 0 && over-b.begun < instant(patience) { // the load calls by chance, and rarely on a busy machine
		f.run(w, faultTime)
		over = w.h.now()
		missing = w.h.missing(f.still, b.begun, over, 0, 1)
	}
	close(ended)
	if !<-felt {
		t.Error("the fault was not felt")
	}
	if missing != 0 {
		t.Errorf("calls of the kinds %b should go on, and did not", missing)
	}
	x := &result{place: place, Fault: f.name, Shards: shards}
	x.Serving, x.Near = w.recovered(over)
	hold(faultTime / 2) // afterwards all is as before
	w.load.stop()
	if lost != nil && lost.kind == isRound {
		w.redeleted()
	}
	w.kept()
	a := newAuditor(t, w.client(), shards)
	a.age(t)
	if f.indexLost {
		a.clean(t, true)
	}
	// A flush between the two halves of a write across shards takes its note, and leaves its entries.
	x.Live = a.exact(t, lost != nil && shards > 1, patience)
	a.clean(t, lost != nil && shards > 1)
	a.exact(t, false, patience)
	w.settle()

	v := w.h.check(&rules{bound: bound, clock: clockOff, loss: lost, moves: w.moves})
	for _, wrong := range v.faults[:min(len(v.faults), 5)] {
		t.Error(wrong)
	}
	sessions, _ := w.h.all()
	x.Sessions, x.Wrong, x.Seen, x.Staleness = len(sessions), len(v.faults), v.seen, v.staleness
	x.Calls, x.Acked, x.Maybes, x.Unavailable = w.h.calls.Load(), w.h.acked.Load(), w.h.maybes.Load(), w.h.unavailable.Load()
	report.add(t, func(r *results) { r.Rows = append(r.Rows, x) })
	say(t, "P=%d, %d calls, %d acknowledged, %d maybe, %d unavailable, %d observations, %d wrong; stale %v at most, served again after %v, copies used after %v",
		shards, x.Calls, x.Acked, x.Maybes, x.Unavailable, x.Seen, x.Wrong, x.Staleness.Round(time.Millisecond), x.Serving.Round(time.Millisecond), x.Near.Round(time.Millisecond))
}

// say tells how far the run is; where there is a report, on the terminal too.
func say(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	if reportDir != "" {
		fmt.Fprintf(os.Stderr, "%s: %s\n", strings.TrimPrefix(t.Name(), "Test"), text)
	}
}
