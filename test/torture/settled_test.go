package torture

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// settled waits until processes have had the time to notice what was done to Redis last: the bound, and the grace.
func (w *world) settled() { hold(time.Duration(w.changed-w.h.now()) + bound + grace) }

// grace is how long after the bound a process may still be busy with a fault: it dials, and its breaker rests.
const grace = time.Second

// watch is a part of a history in which processes must all be refused, or have all their writes done.
type watch struct {
	span
	through []int
}

// dark lets the fault last for d, once the processes have noticed it: nothing that they are asked then may be answered, and
// they must not be ready, for this reason.
func (w *world) dark(d time.Duration, because string, through ...int) {
	w.t.Helper()
	w.settled()
	seen := watch{span{from: w.h.now()}, through}
	wrong := map[int]string{}
	during(d, 50*time.Millisecond, func() {
		for _, n := range through {
			if ready, says := w.all[n].readiness(); ready || !strings.Contains(says, because) {
				wrong[n] = says
			}
		}
	})
	seen.to = w.h.now()
	w.darks = append(w.darks, seen)
	for n, says := range wrong {
		w.t.Errorf("process %d says of itself: %q, and not that it is not ready because Redis %q", n, says, because)
	}
}

// served lets the fault last for d, once the processes have had the time to find the master: no write may fail then, and
// every kind of call must succeed.
func (w *world) served(d time.Duration, through ...int) {
	w.t.Helper()
	w.settled()
	w.serving(through, func() { hold(d) })
}

// serving says that no write may fail while something happens, and that every kind of call must succeed. The load calls by
// chance, and rarely on a busy machine: so it goes on until each kind was called, or patience ends.
func (w *world) serving(through []int, happens func()) {
	seen := watch{span{from: w.h.now()}, through}
	happens()
	eventually.Within(patience, func() bool { return w.h.missing(allCalls, seen.from, w.h.now(), through...) == 0 }) // kept reports it
	seen.to = w.h.now()
	w.brights = append(w.brights, seen)
}

// kept checks what was watched. The load has ended.
func (w *world) kept() {
	w.t.Helper()
	for _, d := range w.darks {
		if answers := w.h.answers(d); len(answers) > 0 {
			w.t.Errorf("%d calls were answered where no master was proven: %s", len(answers), strings.Join(answers[:min(len(answers), 3)], "; "))
		}
		if refused := w.h.refusalsIn(d, false); len(refused) == 0 {
			w.t.Error("nothing was asked while there was no master")
		}
	}
	for _, b := range w.brights {
		if refused := w.h.refusalsIn(b, true); len(refused) > 0 {
			w.t.Errorf("%d writes failed, the first: %v", len(refused), refused[0])
		}
		if missing := w.h.missing(allCalls, b.from, b.to, b.through...); missing != 0 {
			w.t.Errorf("calls of the kinds %b did not go on", missing)
		}
	}
}

// answers tells of all calls that began, and were answered, while d was watched.
func (h *history) answers(d watch) (all []string) {
	sessions, _ := h.all()
	in := func(via int, inv, res instant) bool {
		return inv >= d.from && res < d.to && slices.Contains(d.through, via)
	}
	for _, rec := range sessions {
		rec.mu.Lock()
		for _, wr := range rec.writes {
			if wr.acked && in(wr.via, wr.inv, wr.res) {
				all = append(all, fmt.Sprintf("%v of %s through process %d at %v", wr.kind, rec.label, wr.via, time.Duration(wr.inv)))
			}
		}
		for i := range rec.seen {
			if o := &rec.seen[i]; in(o.via, o.inv, o.res) {
				all = append(all, o.String())
			}
		}
		rec.mu.Unlock()
	}
	return all
}

// refusalsIn returns the calls, or only the writes, that began while it was watched and were refused.
func (h *history) refusalsIn(during watch, writes bool) (all []*refusal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.refusals {
		r := &h.refusals[i]
		if r.inv >= during.from && r.inv < during.to && slices.Contains(during.through, r.via) && (!writes || r.isWrite()) {
			all = append(all, r)
		}
	}
	return all
}

// condemned are sessions that are to be deleted while the fault lasts, each by another process.
type condemned []*record

// condemn creates them, and has all processes read them, so that there are copies.
func (w *world) condemn(by ...int) (all condemned) {
	w.t.Helper()
	for _, n := range by {
		rec := (&caller{w.h, w.all[n]}).create(fmt.Sprintf("condemned-%d", n), fmt.Sprintf("user-condemned-%d", n), true, 0)
		if !rec.isAcked() {
			w.t.Fatal("a session cannot be created before the fault")
		}
		all = append(all, rec)
	}
	w.ask(all)
	return all
}

// ask reads sessions through every process, by Get, fresh and by their tokens.
func (w *world) ask(all condemned) {
	var wg sync.WaitGroup
	for _, to := range w.all {
		wg.Go(func() {
			c := &caller{w.h, to}
			for _, rec := range all {
				c.get(rec, false)
				c.get(rec, true)
				if tokens, numbers := rec.tokens(); len(tokens) > 0 {
					c.verify(rec, tokens[0], numbers[0])
				}
			}
		})
	}
	wg.Wait() // I7
}

// execute deletes them, as soon as that succeeds, and has all processes read them for twice the bound: the checker wants
// each to refuse them from the bound on.
func (w *world) execute(all condemned, by ...int) {
	w.t.Helper()
	var wg sync.WaitGroup
	for i, n := range by {
		wg.Go(func() {
			c := &caller{w.h, w.all[n]}
			if !eventually.Within(patience, func() bool { return c.delete(all[i]) }) {
				w.t.Errorf("process %d cannot delete a session", n)
			}
		})
	}
	wg.Wait() // I7
	during(2*bound, 20*time.Millisecond, func() { w.ask(all) })
}
