package storetest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// The limits are above 250, the candidates that every search may examine.
var costlyTests = []contractTest{
	{name: "what can be counted is never refused", limits: Limits{MaxCandidates: 300}, run: func(f *fixture) {
		f.puts(many(900, f.start, 1))
		d := index.ByCreation(index.Dates{Min: f.start + 10, Max: f.start + 779})
		creator := index.ByCreator("many")
		f.page(index.Query{Predicates: []index.Predicate{creator}, Sees: all, Ascending: true, Limit: 2, Offset: 300}, 900, numbers(300, 302)...)
		f.page(index.Query{Predicates: []index.Predicate{creator, d}, Sees: all, Ascending: true, Limit: 2, Offset: 300}, 770, numbers(310, 312)...)
		f.page(index.Query{Sees: all, Ascending: true, Limit: 2, Offset: 300}, 900, numbers(300, 302)...)
		f.page(index.Query{Predicates: []index.Predicate{d}, Sees: all, Ascending: true, Limit: 2, Offset: 300}, 770, numbers(310, 312)...)
		f.page(index.Query{Predicates: []index.Predicate{index.ByExpiration(index.Dates{Min: f.start, Max: session.Never})}, Sees: all, Limit: 2}, 900, numbers(899, 897)...)
	}},
	{name: "the cheapest predicate is named", limits: Limits{MaxCandidates: 300}, run: func(f *fixture) {
		sessions := many(900, f.start, 1)
		for i, s := range sessions {
			if i < 600 {
				User("some", "o")(s)
			}
			if i < 450 {
				Agent("fewer")(s)
			}
		}
		f.puts(sessions)
		user, agent, creator := index.ByUser("some"), index.ByAgent("fewer"), index.ByCreator("many")
		f.costly(index.Query{Predicates: []index.Predicate{user, creator}, Sees: all, Limit: 1}, "userIdQuery", false)
		f.costly(index.Query{Predicates: []index.Predicate{creator, agent}, Sees: all, Limit: 1}, "userAgentQuery", false)
		f.costly(index.Query{Predicates: []index.Predicate{user, agent, creator}, Sees: all}, "userAgentQuery", false)
		few := index.ByCreation(index.Dates{Min: f.start + 5, Max: f.start + 9})
		f.page(index.Query{Predicates: []index.Predicate{creator, user, few}, Sees: all, Ascending: true, Limit: 10}, 5, numbers(5, 10)...)
		f.page(index.Query{Predicates: []index.Predicate{creator, user, index.ByIDs(numbers(599, 700)...)}, Sees: all, Limit: 10}, 1, number(599))
		f.page(index.Query{Predicates: []index.Predicate{creator, index.ByUser("none")}, Sees: all, Limit: 10}, 0)
	}},
	{name: "expiration dates", limits: Limits{MaxCandidates: 300}, run: func(f *fixture) {
		sessions := many(900, f.start, 1)
		for i, s := range sessions {
			s.ExpirationDate += session.Time(i)
		}
		f.puts(sessions)
		by := func(from, to int) index.Predicate {
			return index.ByExpiration(index.Dates{Min: sessions[from].ExpirationDate, Max: sessions[to].ExpirationDate})
		}
		f.costly(index.Query{Predicates: []index.Predicate{by(200, 500)}, Sees: all, Limit: 1}, "expirationDateQuery", false)
		f.page(index.Query{Predicates: []index.Predicate{by(200, 499)}, Sees: all, Limit: 1}, 300, number(499))
		f.costly(index.Query{Predicates: []index.Predicate{by(0, 598)}, Sees: all, Limit: 1}, "expirationDateQuery", false)
		f.costly(index.Query{Predicates: []index.Predicate{by(150, 748)}, Sees: all, Limit: 1}, "expirationDateQuery", false)
		f.page(index.Query{Predicates: []index.Predicate{by(150, 749)}, Sees: all, Limit: 1}, 600, number(749))
		f.costly(index.Query{Predicates: []index.Predicate{by(150, 749)}, Sees: index.Sees{Orgs: []string{"o"}}, Limit: 1}, "expirationDateQuery", false)
	}},
	{name: "most expiration dates", limits: Limits{MaxCandidates: 300}, run: func(f *fixture) {
		sessions := many(900, f.start, 7)
		for i, s := range sessions {
			s.ExpirationDate = f.start.Add(time.Duration(1+i) * time.Second)
			switch {
			case i >= 800:
				s.ExpirationDate = session.Never
			case i%2 == 0:
				Creator("other")(s)
			}
		}
		f.puts(sessions)
		ends := func(m index.Method, seconds int) index.Predicate {
			return index.ByExpiration(index.Compare(m, f.store.Now().Add(time.Duration(seconds)*time.Second).Std()))
		}
		creator := index.ByCreator("many")
		check := func(due int) {
			f.Helper()
			// Few end on other dates.
			for _, c := range []struct {
				by                 []index.Predicate
				total, first, last int
			}{
				{[]index.Predicate{ends(index.Greater, 200)}, 700 - due, 200 + due, 899},
				{[]index.Predicate{ends(index.GreaterOrEquals, 200)}, 701 - due, 199 + due, 899},
				{[]index.Predicate{ends(index.Greater, 3)}, 897 - due, 3 + due, 899},
				{[]index.Predicate{ends(index.Greater, 3), index.ByExpiration(index.Dates{Min: 0, Max: session.MaxScore - 1})}, 797 - due, 3 + due, 799},
				{[]index.Predicate{ends(index.LessOrEquals, 700-due)}, 700 - due, due, 699},
				{[]index.Predicate{ends(index.Less, 700-due)}, 699 - due, due, 698},
			} {
				for _, more := range []index.Predicate{index.ByCreation(always), index.ByCreation(index.Dates{Min: f.start, Max: f.start.Add(time.Hour)})} {
					q := index.Query{Predicates: append(c.by, more), Sees: all, Ascending: true, Limit: 2}
					f.page(q, c.total, number(c.first), number(c.first+1))
					q.Offset = uint64(c.total - 1)
					f.page(q, c.total, number(c.last))
					q.Offset, q.Ascending = 1, false
					f.page(q, c.total, number(c.last-1), number(c.last-2))
				}
			}
			f.page(index.Query{Predicates: []index.Predicate{ends(index.Greater, 3), creator}, Sees: all, Ascending: true, Limit: 1}, 500-(due+3)/2, number((due+3)|1))
		}
		check(0)
		f.advance(80 * time.Second) // nobody has swept
		check(80)
	}},
	{name: "a limit that is just enough", limits: Limits{MaxCandidates: 400}, run: func(f *fixture) {
		f.puts(many(400, f.start, 1))
		q := index.Query{Predicates: []index.Predicate{index.ByUser("many"), index.ByAgent("many")}, Sees: all, Ascending: true, Limit: 1}
		f.page(q, 400, number(0))
		f.put(New("1", f.start, User("many", ""), Agent("many")))
		f.costlyAny(q)
	}},
	{name: "many explicit IDs", limits: Limits{MaxCandidates: 300}, run: func(f *fixture) {
		f.puts(many(310, f.start, 1))
		f.page(index.Query{Predicates: []index.Predicate{index.ByIDs(numbers(0, 300)...)}, Sees: all, Limit: 1}, 300, number(299))
		f.costly(index.Query{Predicates: []index.Predicate{index.ByIDs(numbers(0, 301)...)}, Sees: all, Limit: 1}, "idsQuery", false)
	}},
	{name: "callers without permission", limits: Limits{MaxCandidates: 300}, run: func(f *fixture) {
		f.puts(many(400, f.start, 1))
		f.put(New("1", f.start, User("me", ""), Creator("me")))
		f.costly(index.Query{Sees: index.Sees{UserID: "many"}, Limit: 1}, "", true)
		f.costly(index.Query{Sees: index.Sees{AgentID: "many"}, Limit: 1}, "", true)
		f.costlyAny(index.Query{Predicates: []index.Predicate{index.ByAgent("many")}, Sees: index.Sees{UserID: "many"}, Limit: 1})
		f.costlyAny(index.Query{Sees: index.Sees{Orgs: []string{"o"}}, Limit: 1})
		f.page(index.Query{Sees: index.Sees{UserID: "me"}, Limit: 5}, 1, "1")
		f.page(index.Query{Predicates: []index.Predicate{index.ByCreation(always)}, Sees: index.Sees{UserID: "me"}, Limit: 5}, 1, "1")
		f.page(index.Query{Predicates: []index.Predicate{index.ByIDs(numbers(0, 5)...)}, Sees: index.Sees{UserID: "many"}, Ascending: true, Limit: 9}, 5, numbers(0, 5)...)
		f.page(index.Query{Predicates: []index.Predicate{index.ByUser("me")}, Sees: index.Sees{Orgs: []string{"o"}}, Limit: 9}, 0)
	}},
}
