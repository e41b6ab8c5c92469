package index

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// guesses remember which sessions were found on the lists of users and user agents. So a
// search can read these sessions in the round trip that reads the list, which it reads all
// the same: a guess answers nothing, and a wrong one costs a further round trip. (I9)
//
// They take up to 11 MiB, about 5 with sixteen IDs of 18 digits in each. They are safe for
// concurrent use.
type guesses struct {
	seed  maphash.Seed
	slots [1 << 13]atomic.Pointer[guess] // lists that share a slot drive each other out
}

// guess is what was found on a list, in the order of their IDs.
type guess struct {
	list string
	ids  []session.ID
}

const (
	// maxGuess is how many sessions a guess may have, and maxGuessBytes how long its texts may be.
	maxGuess      = 16
	maxGuessBytes = 1 << 10
)

func (g *guesses) slot(list string) *atomic.Pointer[guess] {
	return &g.slots[maphash.String(g.seed, list)%uint64(len(g.slots))]
}

// of returns the sessions that were found on a list; nil if that is not known. Nobody may
// change them.
func (g *guesses) of(list string) []session.ID {
	if known := g.slot(list).Load(); known != nil && known.list == list {
		return known.ids
	}
	return nil
}

// forget forgets what was found on a list.
func (g *guesses) forget(list string) {
	slot := g.slot(list)
	if known := slot.Load(); known != nil && known.list == list {
		slot.CompareAndSwap(known, nil)
	}
}

// learn remembers what was found on a list, in the order of their IDs, and those of the
// last guess that are still stored: a search for fewer dates does not forget the others.
// Sessions that are too many, or have long IDs, are forgotten.
func (g *guesses) learn(list string, found []Candidate, ids []session.ID, read []*session.Stored) {
	all := make([]session.ID, 0, maxGuess)
	size := len(list)
	add := func(id session.ID) {
		all = append(all, id)
		size += len(id)
	}
	for i := range found {
		if add(found[i].ID); len(all) > maxGuess {
			break
		}
	}
	for i, s := range read {
		if s != nil && len(all) < maxGuess && !slices.ContainsFunc(found, func(c Candidate) bool { return c.ID == ids[i] }) {
			add(ids[i])
		}
	}
	if len(all) == 0 || len(all) > maxGuess || size > maxGuessBytes {
		g.forget(list)
		return
	}
	slices.Sort(all)
	var text strings.Builder // one piece of memory for all
	text.Grow(size)
	text.WriteString(list)
	for _, id := range all {
		text.WriteString(string(id))
	}
	left := text.String()
	next := &guess{left[:len(list)], make([]session.ID, len(all))}
	left = left[len(list):]
	for i, id := range all {
		next.ids[i], left = session.ID(left[:len(id)]), left[len(id):]
	}
	g.slot(list).Store(next)
}

// pick returns what was read for the sessions that were found on a list. ok is false if
// one of them is not among ids, for which it was read. Both are in the order of the IDs.
func pick(found []Candidate, ids []session.ID, read []*session.Stored) (stored []*session.Stored, ok bool) {
	if len(read) != len(ids) {
		return nil, false
	}
	stored = make([]*session.Stored, 0, len(found))
	for _, c := range found {
		at, is := slices.BinarySearch(ids, c.ID)
		if !is {
			return nil, false
		}
		stored = append(stored, read[at])
	}
	return stored, true
}
