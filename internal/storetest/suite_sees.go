package storetest

import (
	"math"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var seesTests = []contractTest{
	{name: "each way to see", run: func(f *fixture) {
		population(f)
		f.foundBy(index.Sees{}, nil)
		f.foundBy(index.Sees{All: true}, nil, "1", "2", "3", "4", "5", "6")
		f.foundBy(index.Sees{Orgs: []string{"o1"}}, nil, "1", "2")
		f.foundBy(index.Sees{Orgs: []string{"o1", "none", "o2"}}, nil, "1", "2", "3", "4")
		f.foundBy(index.Sees{UserID: "u1"}, nil, "1", "2")
		f.foundBy(index.Sees{UserID: "c2"}, nil, "4", "5")
		f.foundBy(index.Sees{UserID: "none"}, nil)
		f.foundBy(index.Sees{AgentID: "a1"}, nil, "1", "3", "5")
		f.foundBy(index.Sees{UserID: "u1", AgentID: "a1"}, nil, "1", "2", "3", "5")
		f.foundBy(index.Sees{UserID: "c1", AgentID: "a1", Orgs: []string{"o2"}}, nil, "1", "2", "3", "4", "5")
	}},
	{name: "one session in all three lists", run: func(f *fixture) {
		f.put(New("1", f.start, User("me", "o"), Agent("mine"), Creator("me")))
		f.put(New("2", f.start, User("me", "o"), Creator("me")))
		f.foundBy(index.Sees{UserID: "me", AgentID: "mine"}, nil, "1", "2")
		f.page(index.Query{Sees: index.Sees{UserID: "me", AgentID: "mine"}, Limit: 1}, 2, "2")
	}},
	{name: "with predicates", run: func(f *fixture) {
		population(f)
		me := index.Sees{UserID: "c1", AgentID: "a1"}
		f.foundBy(me, []index.Predicate{index.ByUser("u2")}, "3")
		f.foundBy(me, []index.Predicate{index.ByCreator("c2")}, "5")
		f.foundBy(me, []index.Predicate{index.ByIDs("1", "4", "5", "6")}, "1", "5")
		f.foundBy(me, []index.Predicate{index.ByCreation(index.Dates{Min: f.start + 1, Max: math.MaxInt64})}, "2", "3", "5")
		f.foundBy(me, []index.Predicate{index.ByExpiration(index.Dates{Min: session.Never, Max: session.Never})}, "2")
		f.foundBy(me, []index.Predicate{index.ByAgent("a2"), index.ByUser("u1")}, "2")
		f.foundBy(index.Sees{}, []index.Predicate{index.ByUser("u1")})
		f.foundBy(index.Sees{}, []index.Predicate{index.ByIDs("1")})
		f.foundBy(index.Sees{Orgs: []string{"o2"}}, []index.Predicate{index.ByAgent("a1")}, "3")
	}},
	{name: "every caller and predicate", run: func(f *fixture) {
		sessions := population(f)
		callers := []index.Sees{
			{},
			{All: true},
			{UserID: "u1"},
			{UserID: "c2"},
			{AgentID: "a1"},
			{UserID: "u2", AgentID: "a2"},
			{Orgs: []string{"o1"}},
			{Orgs: []string{"o2"}, UserID: "c2"},
			{Orgs: []string{"o1", "o2"}, UserID: "c1", AgentID: "a1"},
			{All: true, UserID: "none"},
		}
		ps := []index.Predicate{
			index.ByIDs("1", "3", "5"), index.ByUser("u1"), index.ByUser("u2"), index.ByAgent("a1"), index.ByAgent("a2"), index.ByCreator("c1"),
			index.ByCreator("c2"), index.ByCreation(index.Dates{Min: f.start + 1, Max: f.start + 4}), index.ByExpiration(index.Dates{Min: session.Never, Max: session.Never}),
		}
		for _, sees := range callers {
			for i, a := range ps {
				for _, list := range [][]index.Predicate{{a}, {a, ps[(i+4)%len(ps)]}} {
					q := index.Query{Predicates: list, Sees: sees}
					var want []session.ID
					for _, s := range sessions {
						if facts := s.Facts(); q.Match(&facts, f.store.Now()) {
							want = append(want, s.ID)
						}
					}
					f.foundBy(sees, list, want...)
				}
			}
		}
	}},
	{name: "totals and pages reveal no others", run: func(f *fixture) {
		f.puts(many(60, f.start, 1))
		for i := range 9 {
			f.put(New(session.ID(rune('1'+i)), f.start+session.Time(7*i), User("me", "mine"), Agent("many"), Creator("many")))
		}
		for _, sees := range []index.Sees{{UserID: "me"}, {Orgs: []string{"mine"}}} {
			for _, ps := range [][]index.Predicate{nil, {index.ByAgent("many")}, {index.ByCreator("many")}, {index.ByCreation(always)}} {
				f.page(index.Query{Predicates: ps, Sees: sees, Ascending: true, Limit: 3}, 9, "1", "2", "3")
				f.page(index.Query{Predicates: ps, Sees: sees, Limit: 3, Offset: 7}, 9, "2", "1")
			}
		}
	}},
}
