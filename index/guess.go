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
// They take up to about 4 MiB. They are safe for concurrent use.
type guesses struct {
	seed  maphash.Seed
	slots [1 << 13]atomic.Pointer[guess] // lists that share a slot drive each other out
}

// guess is what was found on a list, in the order of their IDs.
type guess struct {
	list string
	ids  []session.ID
}

// maxGuess is how many sessions a guess may have.
const maxGuess = 16

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

// learn remembers what was found on a list, in the order of their IDs.
func (g *guesses) learn(list string, found []Candidate) {
	if len(found) == 0 || len(found) > maxGuess {
		return
	}
	size := len(list)
	for i := range found {
		size += len(found[i].ID)
	}
	if size > 1<<10 {
		return
	}
	next := &guess{strings.Clone(list), make([]session.ID, len(found))}
	for i := range found {
		next.ids[i] = session.ID(strings.Clone(string(found[i].ID)))
	}
	g.slot(list).Store(next)
}

// guessed returns the sessions of what was found on a list, if all of these were guessed:
// read has what was read for each of ids, if anything was, and is overwritten.
func guessed(found []Candidate, ids []session.ID, read []*session.Stored) (stored []*session.Stored, ok bool) {
	if len(read) != len(ids) {
		return nil, false
	}
	stored = read[:0]
	for _, c := range found { // both are in the order of the IDs
		at, is := slices.BinarySearch(ids, c.ID)
		if !is {
			return nil, false
		}
		stored = append(stored, read[at])
	}
	return stored, true
}
