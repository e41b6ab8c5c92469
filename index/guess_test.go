package index

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func idsOf(found []Candidate) (ids []session.ID) {
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestGuesses(t *testing.T) {
	g := &guesses{seed: maphash.MakeSeed()}
	made := func(from, to int) (found []Candidate) {
		for i := from; i < to; i++ {
			found = append(found, Candidate{ID: session.ID(fmt.Sprintf("s%02d", i))})
		}
		return found
	}
	is := func(what string, want []Candidate) {
		t.Helper()
		if got := g.of("list"); !slices.Equal(got, idsOf(want)) {
			t.Errorf("%s: %v, want %v", what, got, idsOf(want))
		}
	}
	stored := func(n int) (read []*session.Stored) {
		for range n {
			read = append(read, &session.Stored{})
		}
		return read
	}
	is("nothing is known", nil)
	g.learn("list", made(3, 6), nil, nil)
	is("what was found", made(3, 6))
	if got := g.of("other"); got != nil {
		t.Errorf("another list: %v", got)
	}
	read := stored(3)
	read[0], read[2] = nil, nil
	g.learn("list", made(4, 8), g.of("list"), read)
	is("with those that are stored still", made(4, 8))
	g.learn("list", made(0, 2), g.of("list"), stored(4))
	is("with those of other dates", slices.Concat(made(0, 2), made(4, 8)))
	g.learn("list", made(0, maxGuess), nil, nil)
	is("the most", made(0, maxGuess))
	g.learn("list", made(20, 22), g.of("list"), stored(maxGuess))
	is("no more than the most", slices.Concat(made(0, maxGuess-2), made(20, 22)))
	g.learn("list", made(0, maxGuess+1), nil, nil)
	is("too many", nil)
	g.learn("list", made(0, 1), nil, nil)
	g.learn("list", nil, g.of("list"), []*session.Stored{nil})
	is("nothing is left", nil)
	g.learn("list", []Candidate{{ID: session.ID(strings.Repeat("x", maxGuessBytes))}}, nil, nil)
	is("an ID that is too long", nil)
	g.learn("list", made(0, 1), nil, nil)
	g.forget("other")
	is("another was forgotten", made(0, 1))
	g.forget("list")
	is("forgotten", nil)
	for i := range 3 * len(g.slots) { // they drive each other out
		g.learn(fmt.Sprint("list", i), made(i%5, i%5+2), nil, nil)
	}
	known := 0
	for i := range 3 * len(g.slots) {
		if ids := g.of(fmt.Sprint("list", i)); ids != nil {
			known++
			if !slices.Equal(ids, idsOf(made(i%5, i%5+2))) {
				t.Fatalf("list %d: %v", i, ids)
			}
		}
	}
	if known == 0 || known > len(g.slots) {
		t.Errorf("%d lists are known", known)
	}
}

func TestEvidence(t *testing.T) {
	var changes Mark
	mark := func() Mark {
		m := changes
		m.Was = m.Changes.Load()
		return m
	}
	changes.Changes = new(atomic.Uint32)
	e := NewEvidence()
	if !e.Holds(session.Never - 1) {
		t.Error("of nothing: it does not hold")
	}
	e.Note(mark(), session.Never)
	e.Note(mark(), 100)
	e.Note(mark(), 200)
	if e.Copies() != 3 || !e.Holds(99) || e.Holds(100) {
		t.Errorf("%d copies, which end at 100: %v before, %v then", e.Copies(), e.Holds(99), e.Holds(100))
	}
	changes.Changes.Add(1)
	if e.Holds(99) {
		t.Error("one has changed")
	}
	e = NewEvidence()
	for range maxMarks {
		e.Note(mark(), session.Never)
	}
	if !e.Holds(0) {
		t.Error("of the most: it does not hold")
	}
	e.Note(mark(), session.Never)
	if e.Holds(0) || e.Copies() != maxMarks {
		t.Errorf("of too many: %d", e.Copies())
	}
	e = NewEvidence()
	e.Other()
	if e.Holds(0) {
		t.Error("of something else")
	}
	e = nil
	e.Note(mark(), 1)
	e.Other()
}
