package torture

import (
	"strings"
	"testing"
	"time"
)

// The checker has to find what is wrong. Its histories here are in milliseconds.

const msec = instant(time.Millisecond)

// past is one session, as a history is told.
type past struct{ *record }

// acked adds a write through process 0.
func (p past) acked(k kind, from, to int, sequence int) past {
	return p.ackedVia(0, k, from, to, sequence)
}

func (p past) ackedVia(via int, k kind, from, to int, sequence int) past {
	w, _ := p.write(k, via, instant(from)*msec)
	p.ack(w, instant(to)*msec, "", sequence, "")
	return p
}

// maybe adds a write whose outcome is not known.
func (p past) maybe(k kind, from int) past {
	p.write(k, 0, instant(from)*msec)
	return p
}

func (p past) lives(d time.Duration) past {
	p.writes[0].lifetime = d
	return p
}

// saw adds what another process, 1, answered.
func (p past) saw(from, to, version int) past {
	p.see(observation{source: "get", via: 1, inv: instant(from) * msec, res: instant(to) * msec, version: version})
	return p
}

func (p past) sawFresh(from, to, version int) past {
	p.see(observation{source: "fresh get", via: 1, fresh: true, inv: instant(from) * msec, res: instant(to) * msec, version: version})
	return p
}

func (p past) sawVia(via, from, to, version int) past {
	p.see(observation{source: "get", via: via, inv: instant(from) * msec, res: instant(to) * msec, version: version})
	return p
}

func (p past) sawRefused(from, to, version int) past {
	p.see(observation{source: "verify", via: 1, inv: instant(from) * msec, res: instant(to) * msec, refused: version})
	return p
}

// TestChecker tells histories, right ones and wrong ones; the bound is 100 ms.
func TestChecker(t *testing.T) {
	lostAt := func(k lossKind) *loss {
		return &loss{kind: k, from: 1000 * msec, to: 1010 * msec, snapshotFrom: 500 * msec, snapshotTo: 510 * msec}
	}
	f := func(name, want string, l *loss, tell func(past)) {
		t.Helper()
		h := newHistory()
		tell(past{h.begin("s", "u", "id")})
		v := h.check(&rules{bound: 100 * time.Millisecond, clock: 10 * time.Millisecond, loss: l})
		switch got := strings.Join(v.faults, "\n"); {
		case want == "" && got != "":
			t.Errorf("%s: it is right, and the checker says:\n%s", name, got)
		case want != "" && !strings.Contains(got, want):
			t.Errorf("%s: the checker does not say %q:\n%s", name, want, got)
		}
	}
	right := func(name string, tell func(past)) { t.Helper(); f(name, "", nil, tell) }
	const overwritten, isThere, isGood = "not there any more", "but it was there", "but it was good"

	right("a life", func(p past) {
		p.acked(creates, 0, 10, 1).sawFresh(20, 30, 1).acked(sets, 40, 50, 2).sawFresh(45, 55, 1).sawFresh(60, 70, 2).acked(deletes, 80, 90, 3).sawFresh(100, 110, 0)
	})
	// I4
	right("revoked, within the bound", func(p past) { p.acked(creates, 0, 10, 1).acked(deletes, 20, 30, 2).saw(125, 300, 1) })
	f("revoked, past the bound", overwritten, nil, func(p past) { p.acked(creates, 0, 10, 1).acked(deletes, 20, 30, 2).saw(131, 140, 1) })
	f("revoked, and asked freshly", overwritten, nil, func(p past) { p.acked(creates, 0, 10, 1).acked(deletes, 20, 30, 2).sawFresh(31, 40, 1) })
	f("revoked through the same process", overwritten, nil, func(p past) { p.acked(creates, 0, 10, 1).acked(deletes, 20, 30, 2).sawVia(0, 31, 40, 1) })
	f("an old version, past the bound", overwritten, nil, func(p past) { p.acked(creates, 0, 10, 1).acked(sets, 20, 30, 2).saw(131, 140, 1) })
	f("an old token, past the bound", isGood, nil, func(p past) { p.acked(creates, 0, 10, 1).acked(sets, 20, 30, 2).sawRefused(131, 140, 2) })
	// I2
	f("404 for a live session", isThere, nil, func(p past) { p.acked(creates, 0, 10, 1).saw(200, 210, 0) })
	f("404 for a live session through its process", isThere, nil, func(p past) { p.acked(creates, 0, 10, 1).sawVia(0, 20, 30, 0) })
	right("404 for a new session, within the bound", func(p past) { p.acked(creates, 0, 10, 1).saw(50, 60, 0) })
	f("404 for a session that was seen before", isThere, nil, func(p past) { p.maybe(creates, 0).sawFresh(10, 20, 1).sawFresh(30, 40, 0) })
	f("401 for a good token", isGood, nil, func(p past) { p.acked(creates, 0, 10, 1).sawRefused(200, 210, 1) })
	right("401 for a token that may be old", func(p past) { p.acked(creates, 0, 10, 1).maybe(sets, 100).sawRefused(200, 210, 1) })
	// Lost and resurrected.
	f("a lost acknowledged write", overwritten, nil, func(p past) { p.acked(creates, 0, 10, 1).acked(sets, 20, 30, 2).sawFresh(1000, 1010, 1) })
	f("a lost write shows in the sequence", "has the sequence", nil, func(p past) {
		p.acked(creates, 0, 10, 1).acked(sets, 20, 30, 2).acked(sets, 40, 50, 2)
	})
	f("a write that happened twice", "has the sequence", nil, func(p past) { p.acked(creates, 0, 10, 1).acked(sets, 20, 30, 3) })
	right("a write that may have happened", func(p past) { p.acked(creates, 0, 10, 1).maybe(sets, 20).acked(sets, 40, 50, 3) })
	f("a resurrected delete", overwritten, nil, func(p past) { p.acked(creates, 0, 10, 1).acked(deletes, 20, 30, 2).sawFresh(1000, 1010, 1) })
	f("a delete that was seen, and is undone", overwritten, nil, func(p past) {
		p.acked(creates, 0, 10, 1).maybe(deletes, 20).sawFresh(100, 110, 0).sawFresh(120, 130, 1)
	})
	right("a delete that comes late", func(p past) {
		p.acked(creates, 0, 10, 1).maybe(deletes, 20).sawFresh(100, 110, 1).sawFresh(120, 130, 0)
	})
	f("older after newer", overwritten, nil, func(p past) {
		p.acked(creates, 0, 10, 1).maybe(sets, 20).sawFresh(30, 40, 2).sawFresh(50, 60, 1)
	})
	f("what nobody wrote", "nobody wrote", nil, func(p past) { p.acked(creates, 0, 10, 1).sawFresh(20, 30, 7) })
	f("from the future", overwritten, nil, func(p past) { p.acked(creates, 0, 10, 1).sawFresh(20, 30, 2).acked(sets, 40, 50, 2) })
	// I1
	f("expired", "had expired", nil, func(p past) { p.acked(creates, 0, 10, 1).lives(50*time.Millisecond).saw(75, 80, 1) })
	f("gone before its time", isThere, nil, func(p past) { p.acked(creates, 0, 10, 1).lives(time.Second).saw(200, 210, 0) })
	right("expired and gone", func(p past) { p.acked(creates, 0, 10, 1).lives(time.Second).saw(1001, 1010, 0) })
	// Losses take what they may, and no more.
	f("flushed", "", lostAt(gone), func(p past) { p.acked(creates, 0, 10, 1).sawFresh(1005, 1006, 0).saw(1109, 1120, 1) })
	f("flushed, and seen past the bound", "was lost", lostAt(gone), func(p past) { p.acked(creates, 0, 10, 1).saw(1111, 1120, 1) })
	f("gone before the flush", isThere, lostAt(gone), func(p past) { p.acked(creates, 0, 10, 1).sawFresh(900, 910, 0) })
	f("made after the flush, and gone", isThere, lostAt(gone), func(p past) { p.acked(creates, 1020, 1030, 1).sawFresh(1040, 1050, 0) })
	f("deleted, then evicted, and seen", overwritten, lostAt(mayGo), func(p past) {
		p.acked(creates, 0, 10, 1).acked(deletes, 20, 30, 2).sawFresh(1100, 1110, 1)
	})
	f("evicted or not", "", lostAt(mayGo), func(p past) { p.acked(creates, 0, 10, 1).sawFresh(1100, 1110, 1).sawFresh(1120, 1130, 0) })
	f("back from a snapshot", "", lostAt(isRound), func(p past) {
		p.acked(creates, 0, 10, 1).acked(deletes, 600, 610, 2).sawFresh(1100, 1110, 1)
	})
	f("back, but it was deleted before the snapshot", overwritten, lostAt(isRound), func(p past) {
		p.acked(creates, 0, 10, 1).acked(deletes, 20, 30, 2).sawFresh(1100, 1110, 1)
	})
	f("back in the process that deleted it", overwritten, lostAt(isRound), func(p past) {
		p.acked(creates, 0, 10, 1).acked(deletes, 600, 610, 2).sawVia(0, 1100, 1110, 1)
	})
	f("not in the snapshot, and seen", "was lost", lostAt(isRound), func(p past) { p.acked(creates, 600, 610, 1).sawFresh(1100, 1110, 1) })
	f("in the snapshot, and gone", isThere, lostAt(isRound), func(p past) { p.acked(creates, 0, 10, 1).sawFresh(1100, 1110, 0) })
	f("written after the snapshot came back, and older", overwritten, lostAt(isRound), func(p past) {
		p.acked(creates, 0, 10, 1).acked(sets, 1020, 1030, 2).sawFresh(1040, 1050, 1)
	})
}

// The staleness that is reported is what an answer certainly had.
func TestChecker_MeasuresStaleness(t *testing.T) {
	h := newHistory()
	p := past{h.begin("s", "u", "id")}
	p.acked(creates, 0, 10, 1).acked(sets, 20, 30, 2).saw(100, 110, 1).sawFresh(120, 130, 2)
	if v := h.check(&rules{bound: 100 * time.Millisecond}); len(v.faults) > 0 || v.staleness != 70*time.Millisecond {
		t.Errorf("%v, the staleness is %v", v.faults, v.staleness)
	}
}

// Another server becomes the master at 1000: a process that does not know it yet sees what was there then, for the bound and no longer.
func TestChecker_AnotherMaster(t *testing.T) {
	f := func(name string, right bool, tell func(past)) {
		t.Helper()
		h := newHistory()
		p := past{h.begin("s", "u", "id")}
		p.acked(creates, 0, 10, 1)
		tell(p)
		v := h.check(&rules{bound: 100 * time.Millisecond, moves: []span{{1000 * msec, 1010 * msec}}})
		if right != (len(v.faults) == 0) {
			t.Errorf("%s: the checker says %q", name, v.faults)
		}
	}
	deleted := func(p past) past { return p.acked(deletes, 1020, 1030, 2) }
	f("fresh, within the bound of the move", true, func(p past) { deleted(p).sawFresh(1105, 1120, 1) })
	f("fresh, past the bound", false, func(p past) { deleted(p).sawFresh(1111, 1120, 1) })
	f("through the process that has found the new master", false, func(p past) { deleted(p).sawVia(0, 1040, 1050, 1) })
	f("deleted before the move", false, func(p past) { p.acked(deletes, 900, 910, 2).sawFresh(1050, 1060, 1) })
	f("not fresh, past the bound", false, func(p past) { deleted(p).saw(1131, 1140, 1) })
	f("404 for a session from before the move", false, func(p past) { p.sawFresh(1050, 1060, 0) })
	none := func(source string, from, to int) func(past) {
		return func(p past) {
			p.writes = nil // it is created after the move
			p.acked(creates, 1020, 1030, 1)
			p.see(observation{source: source, via: 1, fresh: true, inv: instant(from) * msec, res: instant(to) * msec})
		}
	}
	f("404 for a session of the new master, within the bound of the move", true, none("fresh get", 1050, 1060))
	f("404 for a session of the new master, past the bound", false, none("fresh get", 1111, 1120))
	f("a deletion of it that found none", false, none("delete", 1050, 1060))
}
