package storetest

import (
	"math"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var searchTests = []contractTest{
	{name: "an empty store", run: func(f *fixture) {
		f.found(nil)
		for _, p := range []index.Predicate{
			index.ByIDs("1"), index.ByUser("u"), index.ByAgent("a"), index.ByCreator("c"),
			index.ByCreation(always), index.ByExpiration(always),
		} {
			f.found([]index.Predicate{p})
		}
	}},
	{name: "each predicate", run: func(f *fixture) {
		population(f)
		f.found([]index.Predicate{index.ByUser("u1")}, "1", "2")
		f.found([]index.Predicate{index.ByUser("u2")}, "3", "4")
		f.found([]index.Predicate{index.ByUser("u")})
		f.found([]index.Predicate{index.ByAgent("a1")}, "1", "3", "5")
		f.found([]index.Predicate{index.ByAgent("a3")})
		f.found([]index.Predicate{index.ByCreator("c1")}, "1", "2", "3")
		f.found([]index.Predicate{index.ByCreator("gateway")}, "6")
		f.found([]index.Predicate{index.ByIDs("6", "1")}, "1", "6")
		f.found([]index.Predicate{index.ByCreation(index.Dates{Min: f.start + 2, Max: f.start + 4})}, "3", "4", "5")
		f.found([]index.Predicate{index.ByExpiration(index.Dates{Min: session.Never, Max: session.Never})}, "2", "6")
		f.found(nil, "1", "2", "3", "4", "5", "6")
	}},
	{name: "combinations", run: func(f *fixture) {
		population(f)
		f.found([]index.Predicate{index.ByUser("u1"), index.ByAgent("a1")}, "1")
		f.found([]index.Predicate{index.ByUser("u1"), index.ByAgent("a3")})
		f.found([]index.Predicate{index.ByAgent("a1"), index.ByCreator("c1")}, "1", "3")
		f.found([]index.Predicate{index.ByUser("u2"), index.ByCreation(index.Dates{Min: f.start + 3, Max: session.Never})}, "4")
		f.found([]index.Predicate{index.ByIDs("1", "2", "5"), index.ByAgent("a1")}, "1", "5")
		f.found([]index.Predicate{index.ByIDs("1", "2"), index.ByExpiration(index.Dates{Min: session.Never, Max: session.Never})}, "2")
		f.found([]index.Predicate{
			index.ByIDs("1", "2", "3", "4", "5", "6"), index.ByUser("u2"), index.ByAgent("a1"), index.ByCreator("c1"),
			index.ByCreation(always), index.ByExpiration(always),
		}, "3")
	}},
	{name: "a kind that repeats", run: func(f *fixture) {
		population(f)
		f.found([]index.Predicate{index.ByUser("u1"), index.ByUser("u1")}, "1", "2")
		f.found([]index.Predicate{index.ByUser("u1"), index.ByUser("u2")})
		f.found([]index.Predicate{index.ByAgent("a1"), index.ByAgent("a2")})
		f.found([]index.Predicate{index.ByCreator("c1"), index.ByCreator("c2")})
		f.found([]index.Predicate{index.ByIDs("1", "2", "3"), index.ByIDs("3", "2", "9")}, "2", "3")
		f.found([]index.Predicate{index.ByIDs("1"), index.ByIDs("2")})
		f.found([]index.Predicate{
			index.ByCreation(index.Dates{Min: f.start + 1, Max: session.Never}), index.ByCreation(index.Dates{Min: 0, Max: f.start + 3}),
		}, "2", "3", "4")
		f.found([]index.Predicate{
			index.ByCreation(index.Dates{Min: f.start + 3, Max: session.Never}), index.ByCreation(index.Dates{Min: 0, Max: f.start + 1}),
		})
		f.found([]index.Predicate{
			index.ByExpiration(index.Dates{Min: f.start, Max: session.Never}), index.ByExpiration(index.Dates{Min: 0, Max: session.Never - 1}),
		}, "1", "3", "4", "5")
	}},
	{name: "what matches nothing", run: func(f *fixture) {
		population(f)
		for _, p := range []index.Predicate{
			{},
			index.ByIDs(), index.ByIDs(""), index.ByUser(""), index.ByAgent(""), index.ByCreator(""),
			index.ByCreation(index.Dates{Min: 1, Max: 0}), index.ByExpiration(index.Dates{Min: 1, Max: 0}),
			index.ByCreation(index.Dates{Min: session.Never, Max: session.Never}),
			index.ByExpiration(index.Dates{Min: 0, Max: f.start}),
		} {
			f.found([]index.Predicate{p})
			f.found([]index.Predicate{index.ByUser("u1"), p})
			f.found([]index.Predicate{p, index.ByIDs("1")})
		}
	}},
	{name: "IDs that are unknown or repeated", run: func(f *fixture) {
		population(f)
		f.found([]index.Predicate{index.ByIDs("2", "9", "2", "", "1", "2", "x y", "\x00")}, "1", "2")
	}},
	{name: "empty parts are no index entries", run: func(f *fixture) {
		f.put(New("1", f.start, User("", ""), Agent(""), Creator("")))
		f.put(New("2", f.start, User("", "o")))
		f.found([]index.Predicate{index.ByUser("")})
		f.found([]index.Predicate{index.ByAgent("")})
		f.found([]index.Predicate{index.ByCreator("")})
		f.found(nil, "1", "2")
		f.found([]index.Predicate{index.ByCreator("gateway")}, "2")
		s := f.get("1")
		f.replace(New("1", f.start, User("u", "o"), Agent("a"), Creator("c"), Sequence(2)), s)
		f.found([]index.Predicate{index.ByUser("u"), index.ByAgent("a"), index.ByCreator("c")}, "1")
		f.delete("2")
		f.found(nil, "1")
	}},
	{name: "every pair and many triples", run: func(f *fixture) {
		sessions := population(f)
		ps := []index.Predicate{
			index.ByIDs("1", "3", "6", "8"), index.ByIDs("2", "4"), index.ByIDs(),
			index.ByUser("u1"), index.ByUser("u2"), index.ByUser("none"),
			index.ByAgent("a1"), index.ByAgent("a2"),
			index.ByCreator("c1"), index.ByCreator("c2"), index.ByCreator("gateway"),
			index.ByCreation(always), index.ByCreation(index.Dates{Min: f.start + 1, Max: f.start + 3}),
			index.ByCreation(index.Dates{Min: f.start + 2, Max: f.start + 2}), index.ByCreation(index.Dates{Min: 5, Max: 4}),
			index.ByExpiration(always), index.ByExpiration(index.Dates{Min: f.start, Max: session.Never}),
			index.ByExpiration(index.Dates{Min: session.Never, Max: session.Never}),
			index.ByExpiration(index.Dates{Min: math.MinInt64, Max: f.start.Add(time.Hour)}),
		}
		f.advance(time.Minute)
		for _, a := range ps {
			f.bruteForce(sessions, a)
			for i, b := range ps {
				f.bruteForce(sessions, a, b)
				f.bruteForce(sessions, a, b, ps[(7*i+3)%len(ps)])
			}
		}
	}},
	{name: "sessions come and go", run: func(f *fixture) {
		for i := range 20 {
			f.put(New(number(i), f.start+session.Time(i), User("u", "o"), Expires(f.start.Add(time.Duration(1+i%2)*time.Hour))))
		}
		f.advance(time.Hour)
		var want []session.ID
		for i := range 20 {
			if i%2 == 1 && i != 7 {
				want = append(want, number(i))
			}
		}
		f.delete(number(7))
		f.found(nil, want...)
		f.found([]index.Predicate{index.ByUser("u")}, want...)
		f.found([]index.Predicate{index.ByCreation(always)}, want...)
		f.found([]index.Predicate{index.ByExpiration(always)}, want...)
		f.found([]index.Predicate{index.ByCreator("gateway")}, want...)
		f.page(index.Query{Sees: all, Ascending: true, Limit: 2, Offset: 3}, 9, number(9), number(11))
	}},
}

// always holds every date.
var always = index.Dates{Min: math.MinInt64, Max: session.Never}

// population stores six sessions, created a microsecond apart: "1", "2", …
func population(f *fixture) []*session.Session {
	f.Helper()
	at := func(i int) Part { return Created(f.start + session.Time(i)) }
	never := Expires(session.Never)
	sessions := []*session.Session{
		New("1", f.start, at(0), User("u1", "o1"), Agent("a1"), Creator("c1")),
		New("2", f.start, at(1), User("u1", "o1"), Agent("a2"), Creator("c1"), never),
		New("3", f.start, at(2), User("u2", "o2"), Agent("a1"), Creator("c1")),
		New("4", f.start, at(3), User("u2", "o2"), Creator("c2")),
		New("5", f.start, at(4), Agent("a1"), Creator("c2"), Expires(f.start.Add(2*time.Hour))),
		New("6", f.start, at(5), never),
	}
	for _, s := range sessions {
		f.put(s)
	}
	return sessions
}

// bruteForce checks a search against Query.Match, the definition.
func (f *fixture) bruteForce(sessions []*session.Session, ps ...index.Predicate) {
	f.Helper()
	q := index.Query{Predicates: ps, Sees: all}
	var want []session.ID
	for _, s := range sessions { // in order of creation
		if facts := s.Facts(); q.Match(&facts, f.store.Now()) {
			want = append(want, s.ID)
		}
	}
	f.found(ps, want...)
}

// number returns the i-th of a row of IDs that look like ours.
func number(i int) session.ID { return session.ID(strconv.Itoa(1_700_000_000_000_000_000 + i)) }

// many returns n sessions, numbered, that share a user, an agent and a
// creator, created step apart from the given instant on.
func many(n int, from, step session.Time, parts ...Part) []*session.Session {
	sessions := make([]*session.Session, n)
	for i := range sessions {
		sessions[i] = New(number(i), from+session.Time(i)*step, append([]Part{User("many", "o"), Agent("many"), Creator("many")}, parts...)...)
	}
	return sessions
}

// numbers returns the IDs from..to of many, excluding to, downwards if from > to.
func numbers(from, to int) []session.ID {
	var ids []session.ID
	for i := from; i < to; i++ {
		ids = append(ids, number(i))
	}
	for i := from; i > to; i-- {
		ids = append(ids, number(i))
	}
	return ids
}
