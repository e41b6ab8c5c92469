package storetest

import (
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var revokeTests = slices.Concat(revokePredicateTests(), revokeSeesTests(), []contractTest{
	{name: "an empty store", run: func(f *fixture) {
		f.revoke(cache.Revocation{}, 0)
	}},
	{name: "combinations", run: func(f *fixture) {
		population(f)
		by := func(p ...index.Predicate) cache.Revocation {
			return cache.Revocation{Query: &index.Query{Sees: all, Predicates: p}}
		}
		f.revoke(by(index.ByUser("u1"), index.ByUser("u2")), 0)
		f.revoke(by(index.ByUser("u1"), index.ByAgent("a1")), 1)
		f.gone("1")
		f.revoke(by(index.ByIDs("2", "3", "4"), index.ByUser("u2"), index.ByCreator("c2")), 1)
		f.gone("4")
		f.found(nil, "2", "3", "5", "6")
	}},
	{name: "no predicate", run: func(f *fixture) {
		population(f)
		f.revokes(cache.Revocation{}, "1", "2", "3", "4", "5", "6")
	}},
	{name: "order and page do not matter", run: func(f *fixture) {
		population(f)
		f.revoke(cache.Revocation{Query: &index.Query{Sees: all, Ascending: true, Limit: 1, Offset: 3}}, 6)
	}},
	{name: "exceptions", run: func(f *fixture) {
		population(f)
		f.revokes(cache.Revocation{Query: &index.Query{Sees: all, Predicates: []index.Predicate{index.ByAgent("a1")}}, Except: []session.ID{"3", "6", "none"}}, "1", "5")
		f.revokes(cache.Revocation{Except: []session.ID{"3", "6"}}, "2", "4")
	}},
	{name: "what may not be deleted stays, and is not counted", run: func(f *fixture) {
		population(f)
		r := cache.Revocation{May: func(s *session.Facts) bool { return s.OrgID == "o1" || s.UserID == "" }}
		f.revokes(r, "1", "2", "5", "6")
	}},
	{name: "what has ended is not counted", run: func(f *fixture) {
		population(f)
		f.advance(time.Hour)
		f.revoke(cache.Revocation{}, 3)
	}},
	{name: "it leaves tombstones", run: func(f *fixture) {
		f.put(New("1", f.start, Sequence(7)))
		f.revoke(cache.Revocation{}, 1)
		f.refused(session.ErrDeleted, New("1", f.start, Sequence(8)), nil)
		f.put(New("1", f.start, Sequence(9)))
	}},
	{name: "tokens lead nowhere", run: func(f *fixture) {
		f.put(New("1", f.start, ForeignToken("opaque"), User("u", "o")))
		f.token("opaque", "1")
		f.revoke(cache.Revocation{Query: &index.Query{Sees: all, Predicates: []index.Predicate{index.ByUser("u")}}}, 1)
		f.token("opaque", "")
	}},
	{name: "more than a search may examine", limits: Limits{MaxCandidates: 300}, run: func(f *fixture) {
		f.puts(many(900, f.start, 1))
		f.put(New("1", f.start, User("many", "other"), Agent("many"), Creator("many")))
		both := &index.Query{Sees: all, Predicates: []index.Predicate{index.ByUser("many"), index.ByAgent("many")}}
		f.costlyAny(*both)
		r := cache.Revocation{Query: both, Except: numbers(5, 15)}
		r.May = func(s *session.Facts) bool { return s.OrgID == "o" }
		f.revoke(r, 890)
		f.found(nil, append([]session.ID{"1"}, numbers(5, 15)...)...)
	}},
	{name: "many with one creation date, and without an end", run: func(f *fixture) {
		f.puts(many(900, f.start, 0, Expires(session.Never)))
		some := map[session.ID]bool{}
		for _, id := range numbers(300, 700) {
			some[id] = true
		}
		r := cache.Revocation{
			Query: &index.Query{Sees: all, Predicates: []index.Predicate{index.ByExpiration(index.Dates{Min: f.start.Add(time.Hour), Max: session.Never})}},
			May:   func(s *session.Facts) bool { return some[s.ID] },
		}
		f.revoke(r, 400)
		f.revoke(cache.Revocation{Query: &index.Query{Sees: all, Predicates: []index.Predicate{index.ByUser("many")}}}, 500)
	}},
	{name: "progress", run: func(f *fixture) {
		f.puts(many(600, f.start, 1))
		told := []uint64{0}
		n, err := f.store.Revoke(f.Context(), cache.Revocation{Query: &index.Query{Sees: all}, Progress: func(n uint64) { told = append(told, n) }})
		if err != nil || n != 600 || !slices.IsSorted(told) || told[len(told)-1] != 600 {
			f.Fatalf("Revoke: %d, %v, told %v", n, err, told)
		}
	}},
	{name: "many explicit IDs", run: func(f *fixture) {
		f.puts(many(600, f.start, 1))
		f.revoke(cache.Revocation{Query: &index.Query{Sees: all, Predicates: []index.Predicate{index.ByIDs(numbers(10, 590)...)}}}, 580)
		f.found(nil, append(numbers(0, 10), numbers(590, 600)...)...)
	}},
})

// revokePredicateTests revokes some of the same population by each predicate.
func revokePredicateTests() (tests []contractTest) {
	const hour = session.Time(time.Hour / time.Microsecond)
	plain := func(p index.Predicate) func(session.Time) index.Predicate {
		return func(session.Time) index.Predicate { return p }
	}
	created := func(from, to session.Time) func(session.Time) index.Predicate {
		return func(start session.Time) index.Predicate {
			return index.ByCreation(index.Dates{Min: start + from, Max: start + to})
		}
	}
	for _, c := range []struct {
		name string
		by   func(start session.Time) index.Predicate
		want []session.ID
	}{
		{"user", plain(index.ByUser("u1")), []session.ID{"1", "2"}},
		{"an unknown user", plain(index.ByUser("u")), nil},
		{"no user", plain(index.ByUser("")), nil},
		{"agent", plain(index.ByAgent("a1")), []session.ID{"1", "3", "5"}},
		{"creator", plain(index.ByCreator("c1")), []session.ID{"1", "2", "3"}},
		{"IDs", plain(index.ByIDs("6", "1", "9", "6")), []session.ID{"1", "6"}},
		{"no IDs", plain(index.ByIDs()), nil},
		{"creation dates", created(2, 4), []session.ID{"3", "4", "5"}},
		{"any creation date", plain(index.ByCreation(always)), []session.ID{"1", "2", "3", "4", "5", "6"}},
		{"never ends", plain(index.ByExpiration(index.Dates{Min: session.Never, Max: session.Never})), []session.ID{"2", "6"}},
		{"ends", func(start session.Time) index.Predicate {
			return index.ByExpiration(index.Dates{Min: 0, Max: start + hour})
		}, []session.ID{"1", "3", "4"}},
		{"lives", func(start session.Time) index.Predicate {
			return index.ByExpiration(index.Dates{Min: start, Max: session.Never})
		}, []session.ID{"1", "2", "3", "4", "5", "6"}},
		{"has ended", func(start session.Time) index.Predicate { return index.ByExpiration(index.Dates{Min: 0, Max: start}) }, nil},
	} {
		tests = append(tests, contractTest{name: "by " + c.name, run: func(f *fixture) {
			population(f)
			f.revokes(cache.Revocation{Query: &index.Query{Sees: all, Predicates: []index.Predicate{c.by(f.start)}}}, c.want...)
		}})
	}
	return tests
}

// revokeSeesTests revoke what somebody sees, of sessions that are in several of
// the lists of the same caller.
func revokeSeesTests() (tests []contractTest) {
	for _, c := range []struct {
		name string
		sees index.Sees
		want []session.ID
	}{
		{"nothing", index.Sees{}, nil},
		{"a user", index.Sees{UserID: "u1"}, []session.ID{"1", "2", "7", "8"}},
		{"an agent", index.Sees{AgentID: "a1"}, []session.ID{"1", "3", "5", "8"}},
		{"both", index.Sees{UserID: "u1", AgentID: "a1"}, []session.ID{"1", "2", "3", "5", "7", "8"}},
		{"an organization", index.Sees{Orgs: []string{"o2"}}, []session.ID{"3", "4"}},
		{"an organization and a user", index.Sees{Orgs: []string{"o2"}, UserID: "u1"}, []session.ID{"1", "2", "3", "4", "7", "8"}},
	} {
		tests = append(tests, contractTest{name: "seen: " + c.name, run: func(f *fixture) {
			population(f)
			f.put(New("7", f.start, Created(f.start+6), Creator("u1"), User("u3", "")))
			f.put(New("8", f.start, Created(f.start+7), Creator("u1"), User("u1", ""), Agent("a1")))
			f.revokes(cache.Revocation{Query: &index.Query{Sees: c.sees}}, c.want...)
		}})
	}
	return tests
}

// revoke checks that a dry run of r counts want, and that r then deletes as
// many. Without a query, r is about everything.
func (f *fixture) revoke(r cache.Revocation, want int) {
	f.Helper()
	if r.Query == nil {
		r.Query = &index.Query{Sees: all}
	}
	r.Reason = "revoked"
	for _, r.DryRun = range []bool{true, false} {
		if n, err := f.store.Revoke(f.Context(), r); err != nil || n != uint64(want) {
			f.Fatalf("Revoke(%+v, %+v): %d, %v, want %d", r, r.Query, n, err, want)
		}
	}
}

// revokes checks that r deletes exactly these.
func (f *fixture) revokes(r cache.Revocation, want ...session.ID) {
	f.Helper()
	var stay []session.ID
	for _, s := range f.search(index.Query{Sees: all, Ascending: true, Limit: 1000}).Sessions {
		if !slices.Contains(want, s.ID) {
			stay = append(stay, s.ID)
		}
	}
	f.revoke(r, len(want))
	for _, id := range want {
		f.gone(id)
	}
	f.found(nil, stay...)
}
