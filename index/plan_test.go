package index

import (
	"fmt"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// A plan prints what is tried in turn, what chooses among candidates, and what is
// read; nothing of the values that are asked for.
func TestExplain_Prints(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	const now, n = session.Time(1000), 1500
	pipe := rdb.Pipeline()
	for i := range n {
		for _, key := range []string{space.Created(0), space.User("ada"), space.Agent("laptop")} {
			pipe.ZAdd(t.Context(), key, redis.Z{Score: float64(i), Member: fmt.Sprint(i)})
		}
		pipe.ZAdd(t.Context(), space.Catalogue(0), redis.Z{Score: float64(990 + i), Member: fmt.Sprint(i)})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	ix := New(Config{Redis: rdb, Trips: direct{rdb}, Keys: space, MaxCandidates: 1200, Users: noUsers})
	f := func(want string, q Query) {
		t.Helper()
		p, err := ix.Explain(t.Context(), &q, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	all := Sees{All: true}
	f("nothing can match", Query{Sees: all, Predicates: []Predicate{ByUser("ada"), ByUser("bob")}})
	f("nothing can match", Query{})
	f("examine 2 given IDs; filtered by idsQuery, userIdQuery; from copies, else masters",
		Query{Sees: all, Predicates: []Predicate{ByIDs("1", "2"), ByUser("ada")}})
	f("examine the user's held list, if it has at most 1200; else examine the user's list, if each list has fewer than 250; else page the user's list by rank, reading at most 1200 cards of those that are left out, and more than 1000 as a costly search; from copies, else masters",
		Query{Sees: all, Predicates: []Predicate{ByUser("ada")}})
	f("examine the user's list, if each list has fewer than 250; else refuse 1500 candidates of the user's list, where 1200 may be examined; from masters",
		Query{Sees: all, Predicates: []Predicate{ByUser("ada"), ByAgent("laptop")}, Reads: ReadMasters})
	f("page all sessions by rank, reading at most 1200 cards of those that are left out, and more than 1000 as a costly search; from copies, else masters", Query{Sees: all})
	f("page all sessions by rank, without those of 311 cards that end on other dates, reading at most 2400 cards of those that are left out, and more than 1000 as a costly search; from copies, else masters",
		Query{Sees: all, Predicates: []Predicate{ByExpiration(Dates{1301, session.Never})}})
	f("examine 1100 candidates of the creation dates; filtered by creationDateQuery; from copies, else replicas, as a costly search",
		Query{Sees: Sees{Orgs: []string{"o"}}, Predicates: []Predicate{ByCreation(Dates{0, 1099})}})
	f("examine the caller's lists, if each list has fewer than 250; else examine 0 candidates of the caller's lists; from masters",
		Query{Sees: Sees{UserID: "carl"}, Reads: ReadServers})
	undecided := ix.plan(&Query{Sees: all, Predicates: []Predicate{ByAgent("laptop"), ByCreator("ada")}}, now)
	if got, want := undecided.String(), "examine the user agent's list, if each list has fewer than 250; else count; filtered by userAgentQuery, creatorQuery; from copies, else masters"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What near copies answer is planned without allocating.
func TestPlan_Allocations(t *testing.T) {
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	ix := New(Config{Keys: space, Users: noUsers})
	q := &Query{Sees: Sees{All: true}, Predicates: []Predicate{ByIDs("1")}}
	if n := testing.AllocsPerRun(100, func() {
		if p := ix.plan(q, 1000); p.way != given {
			t.Fatal(p.String())
		}
	}); n != 0 {
		t.Errorf("planning allocates %v times", n)
	}
}
