package torture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// rules say what answers of a history are right.
type rules struct {
	// bound is how old what is not fresh may be. (I4)
	bound time.Duration
	// clock is how far the store's clock may be off by the network's whims, when it is about expiration dates.
	clock time.Duration
	loss  *loss // nil: none
	// moves are when another server became the master.
	moves []span
}

// span is a part of a history.
type span struct{ from, to instant }

// loss is an event that took sessions away, or brought them back to where they were.
type loss struct {
	kind     lossKind
	from, to instant
	// snapshotFrom and snapshotTo are when the state was, that came back.
	snapshotFrom, snapshotTo instant
}

type lossKind uint8

const (
	noLoss  lossKind = iota
	gone             // what was there is gone
	mayGo            // what was there may be gone, and entries in lists
	isRound          // what was there is as it was before
)

// verdict is what a checker has found.
type verdict struct {
	faults    []string
	staleness time.Duration // the oldest that an answer certainly was
	seen      int           // observations
}

// check holds everything that was seen against what was written.
//
// A session is a register with one writer. A value may be seen from when its write began until the first later write that
// happened was answered; a write that was not acknowledged happens at any time after it began, but not after a later one
// of the same session was: each replaces the version that its caller has read. What is seen has happened by then, so that
// nobody may see an older value afterwards.
func (h *history) check(r *rules) verdict {
	h.mu.Lock()
	sessions, v := h.sessions, verdict{faults: slices.Clone(h.faults)}
	h.mu.Unlock()
	for _, rec := range sessions {
		rec.mu.Lock()
		c := &checking{rules: r, record: rec, end: make([]instant, len(rec.writes)+1), happened: make([]instant, len(rec.writes)+1)}
		c.run()
		if len(c.faults) > 0 {
			v.faults = append(v.faults, c.story())
		}
		v.staleness = max(v.staleness, c.staleness)
		v.seen += len(rec.seen)
		rec.mu.Unlock()
	}
	return v
}

// checking is the check of one record.
type checking struct {
	*rules
	*record
	// happened is, by version, when its write had happened at the latest. Version 0 is what was before the first.
	happened []instant
	// end is, by version, when another had certainly taken its place.
	end       []instant
	faults    []string
	staleness time.Duration
}

func (c *checking) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *checking) run() {
	for i := range c.end {
		c.end[i] = never
	}
	c.happened[0] = never
	for i, w := range c.writes {
		c.happened[i+1] = never
		if w.acked {
			c.happen(i+1, w.res)
		}
	}
	c.sequences()
	seen := slices.Clone(c.seen)
	slices.SortStableFunc(seen, func(a, b observation) int { return cmp.Compare(a.res, b.res) })
	for i := range seen {
		c.observe(&seen[i])
	}
}

// happen notes that version i was there at t.
func (c *checking) happen(i int, t instant) {
	if t >= c.happened[i] {
		return
	}
	c.happened[i] = t
	for j := range i {
		c.end[j] = min(c.end[j], t)
	}
}

// sequences checks that each acknowledged write raised the sequence by one, and each other one by one at most.
func (c *checking) sequences() {
	last, unsure := 0, 0
	for i, w := range c.writes {
		switch {
		case !w.acked:
			unsure++
			continue
		case w.sequence == 0:
			c.fault("version %d has no sequence", i+1)
		case c.loss != nil && w.res >= c.loss.from:
			return
		case w.sequence <= last || w.sequence > last+1+unsure:
			c.fault("version %d has the sequence %d after %d, with %d writes between that may have happened", i+1, w.sequence, last, unsure)
		}
		last, unsure = w.sequence, 0
	}
}

// observe checks one observation.
func (c *checking) observe(o *observation) {
	lo := o.inv
	if !o.fresh {
		lo = o.inv.before(c.bound)
	}
	for _, m := range c.moves {
		// A process that has not found the new master yet is answered by the old one, as of when that was replaced. A
		// deletion has happened all the same.
		if o.inv >= m.from && o.inv <= m.to.before(-c.bound) && o.source != "delete" {
			lo = min(lo, m.from)
		}
	}
	afterLoss := c.loss != nil && o.res >= c.loss.from
	// What went through the same process before is seen, copies or not; of what comes back, a process remembers only what it
	// has deleted. (I4)
	least := 0
	for i, w := range c.writes {
		holds := !afterLoss || w.inv > c.loss.to || c.loss.kind == isRound && w.kind == deletes
		if w.acked && w.via == o.via && w.res <= o.inv && holds {
			least = i + 1
		}
	}
	if o.refused != 0 {
		c.refused(o, lo, least, afterLoss)
		return
	}
	if o.version != 0 {
		c.present(o, lo, least, afterLoss)
		return
	}
	c.absent(o, lo, least, afterLoss)
}

// possible says whether version i may have been there at some time from lo to hi.
func (c *checking) possible(i int, lo, hi instant) bool {
	return (i == 0 || c.writes[i-1].inv <= hi) && c.end[i] >= lo
}

func (c *checking) isAbsent(i int) bool { return i == 0 || c.writes[i-1].kind == deletes }

func (c *checking) present(o *observation, lo instant, least int, afterLoss bool) {
	i := o.version
	if i > len(c.writes) || c.isAbsent(i) {
		c.fault("%v, which nobody wrote", o)
		return
	}
	if s := c.writes[i-1].sequence; o.sequence != 0 && s != 0 && s != o.sequence {
		c.fault("%v, with the sequence %d, not %d", o, o.sequence, s)
	}
	if first := c.writes[0]; first.lifetime > 0 && first.acked && o.inv.before(c.clock+first.lifetime) > first.res {
		c.fault("%v, which had expired (I1)", o)
	}
	ok := i >= least && c.possible(i, lo, o.res)
	if afterLoss {
		was := c.loss.kind == isRound && c.possible(i, c.loss.snapshotFrom, c.loss.snapshotTo)
		switch {
		case was && i >= least && !c.overwritten(lo):
			ok = true
		case c.loss.kind != mayGo && !was && c.happened[i] < c.loss.from && lo > c.loss.to:
			c.fault("%v, which was lost", o)
		}
	}
	if !ok {
		c.fault("%v, which was not there any more", o)
		return
	}
	c.age(o, c.end[i])
	if !afterLoss {
		c.happen(i, o.res)
	}
}

// overwritten says whether a write that began after the loss had been answered at t.
func (c *checking) overwritten(t instant) bool {
	return slices.ContainsFunc(c.writes, func(w *write) bool { return w.acked && w.inv > c.loss.to && w.res < t })
}

// age notes how old an answer was at least, whose value was replaced at end.
func (c *checking) age(o *observation, end instant) {
	if !o.fresh && end < o.inv && (c.loss == nil || c.loss.kind != isRound) {
		c.staleness = max(c.staleness, time.Duration(o.inv-end))
	}
}

func (c *checking) absent(o *observation, lo instant, least int, afterLoss bool) {
	if len(c.writes) == 0 { // the process that was to create it was not there
		return
	}
	if afterLoss && c.writes[0].inv <= c.loss.to && c.lossTakes() {
		return
	}
	if first := c.writes[0]; first.lifetime > 0 && o.res >= (first.inv+instant(first.lifetime)).before(c.clock) {
		return
	}
	var candidates []int
	for i := range c.end {
		if i >= least && c.isAbsent(i) && c.possible(i, lo, o.res) {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		c.fault("%v, but it was there (I2, I9)", o)
		return
	}
	newest := candidates[len(candidates)-1]
	c.age(o, c.end[newest])
	if len(candidates) == 1 && newest > 0 && !afterLoss {
		c.happen(newest, o.res)
	}
}

// lossTakes says whether the loss may have made the session go.
func (c *checking) lossTakes() bool {
	if c.loss.kind != isRound {
		return true
	}
	for i := range c.end {
		if c.isAbsent(i) && c.possible(i, c.loss.snapshotFrom, c.loss.snapshotTo) {
			return true
		}
	}
	return false
}

// refused checks that a token's version was not certainly the session's all the time.
func (c *checking) refused(o *observation, lo instant, least int, afterLoss bool) {
	i := o.refused
	switch {
	case afterLoss && c.writes[i-1].inv <= c.loss.to:
		return
	case c.writes[0].lifetime > 0 && o.res >= (c.writes[0].inv+instant(c.writes[0].lifetime)).before(c.clock):
		return
	case i > least && c.happened[i] > lo: // what was before it may be what was seen
		return
	}
	for j := i; j < len(c.writes); j++ { // what came later
		if c.writes[j].inv <= o.res {
			return
		}
	}
	c.fault("%v, but it was good (I2)", o)
}

// story tells a record with its faults.
func (c *checking) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "session %s (%s) of %s:\n", c.label, c.id, c.user)
	for _, f := range c.faults[:min(len(c.faults), 5)] {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	for i, w := range c.writes {
		end := "nobody knows"
		if w.acked {
			end = fmt.Sprint(time.Duration(w.res))
		}
		fmt.Fprintf(&b, "    version %d: %v through process %d at %v–%s, sequence %d, lifetime %v\n", i+1, w.kind, w.via, time.Duration(w.inv), end, w.sequence, w.lifetime)
	}
	if c.loss != nil {
		fmt.Fprintf(&b, "    loss at %v–%v\n", time.Duration(c.loss.from), time.Duration(c.loss.to))
	}
	return b.String()
}
