package cache

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// explained are the parts of an explanation that a test can know beforehand.
type explained struct {
	predicate, lists     string
	steps                string
	candidates, examined int64
	costly               bool
}

func partsOf(e *Explanation) explained {
	var steps []string
	for _, s := range e.Steps {
		steps = append(steps, string(s))
	}
	return explained{e.Predicate, e.Lists, strings.Join(steps, " "), e.Candidates, e.Examined, e.Costly}
}

// Each search says which way it took, how many candidates its driver counted and how many
// were examined, and as many round trips and documents as Redis was asked for.
func TestExplain_EveryWay(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			begin := session.TimeOf(time.Now())
			server := redistest.Start(t)
			rdb := server.Client(t)
			s, err := Open(t.Context(), Config{Redis: rdb, Shards: shards, Clock: func() session.Time { return begin }, MaxCandidates: 1050})
			if err != nil {
				t.Fatal(err)
			}
			fillForStats(t, s, begin)
			trips := new(tripCount)
			rdb.AddHook(trips)
			all := index.Sees{All: true}
			ending := func(first, last int) index.Predicate {
				hour := begin.Add(time.Hour)
				return index.ByExpiration(index.Dates{Min: hour.Add(time.Duration(first) * time.Second), Max: hour.Add(time.Duration(last) * time.Second)})
			}
			created := func(first, last int) index.Predicate {
				return index.ByCreation(index.Dates{Min: begin.Add(time.Duration(first) * time.Millisecond), Max: begin.Add(time.Duration(last) * time.Millisecond)})
			}
			by := func(p ...index.Predicate) []index.Predicate { return p }
			org := index.Sees{Orgs: []string{"o"}}
			for _, test := range []struct {
				q     index.Query
				want  explained
				trips int64 // with one shard
			}{
				{index.Query{Sees: all, Predicates: by(index.ByUser("u50"), index.ByUser("u51"))}, explained{"", "none", "nothing", 0, 0, false}, 0},
				{index.Query{Sees: all, Predicates: by(index.ByIDs("s1", "s2", "s2", "nobody"))}, explained{"idsQuery", "ids", "given_ids", 3, 3, false}, 1},
				{index.Query{Sees: all, Predicates: by(index.ByUser("u50"))}, explained{"userIdQuery", "user", "short_list", 10, 10, false}, 2},
				{index.Query{Sees: all, Predicates: by(index.ByUser("u50"))}, explained{"userIdQuery", "user", "short_list guessed", 10, 10, false}, 1},
				{index.Query{Sees: all, Predicates: by(index.ByUser("u50"), ending(500, 500))}, explained{"userIdQuery", "user", "short_list guessed", 10, 10, false}, 1},
				{index.Query{Sees: all, Predicates: by(index.ByAgent("device1"))}, explained{"userAgentQuery", "user_agent", "short_list", 50, 50, false}, 2},
				{index.Query{Sees: index.Sees{UserID: "u50"}}, explained{"", "own", "short_list", 10, 10, false}, 2},
				{index.Query{Sees: index.Sees{UserID: "creator"}}, explained{"", "own", "short_list counted refused", 1100, 0, true}, 0},
				{index.Query{Sees: all, Predicates: by(index.ByCreator("creator"))}, explained{"creatorQuery", "creator", "ranked", 1100, 20, false}, 2},
				{index.Query{Sees: all, Predicates: by(index.ByCreator("creator"), index.ByUser("u50"), created(0, 400))}, explained{"userIdQuery", "user", "short_list guessed", 0, 0, false}, 1},
				{index.Query{Sees: all, Predicates: by(created(300, 900))}, explained{"creationDateQuery", "creation_date", "ranked", 601, 20, false}, 2},
				{index.Query{Sees: all}, explained{"", "all", "ranked", 1100, 20, false}, 2},
				{index.Query{Sees: all, Cursor: new(index.Candidate)}, explained{"", "all", "ranked", 1100, 20, false}, 2},
				{index.Query{Sees: all, Offset: 900}, explained{"", "all", "ranked", 1100, 20, false}, 2},
				{index.Query{Sees: all, Predicates: by(ending(600, 629), index.ByCreator("creator"))}, explained{"expirationDateQuery", "expiration_date", "counted examined", 30, 30, false}, 3},
				{index.Query{Sees: all, Predicates: by(ending(600, 629), index.ByCreator("nobody"))}, explained{"creatorQuery", "creator", "counted examined", 0, 0, false}, 2},
				{index.Query{Sees: all, Predicates: by(ending(0, 1019))}, explained{"", "all", "counted ranked", 1100, 20, false}, 4}, // few are left out
				{index.Query{Sees: org, Predicates: by(ending(0, 1019), index.ByAgent("device1"))}, explained{"userAgentQuery", "user_agent", "short_list", 50, 50, false}, 2},
				{index.Query{Sees: org, Predicates: by(ending(0, 1019))}, explained{"expirationDateQuery", "expiration_date", "counted examined", 1020, 1020, true}, 0},
				{index.Query{Sees: org, Predicates: by(ending(0, 1069))}, explained{"expirationDateQuery", "expiration_date", "counted refused", 1070, 0, false}, 1},
				{index.Query{Sees: org}, explained{"", "all", "counted refused", 1100, 0, false}, 1},
			} {
				test.q.Limit, test.q.Reads = 20, index.ReadMasters
				before := trips.n.Load()
				server.Do("CONFIG", "RESETSTAT")
				page, e, err := s.Explain(t.Context(), &test.q, nil)
				sent, documents := trips.n.Load()-before, server.Calls("hget")
				if got := partsOf(e); got != test.want {
					t.Errorf("%+v: got %+v, want %+v", test.q, got, test.want)
				}
				if refused := strings.HasSuffix(test.want.steps, "refused"); refused != (err != nil) {
					t.Errorf("%+v: %v, %v", test.q, page, err)
				}
				if e.RoundTrips != sent || test.trips > 0 && shards == 1 && sent != test.trips {
					t.Errorf("%+v: %d round trips, %d were sent, want %d", test.q, e.RoundTrips, sent, test.trips)
				}
				if e.Redis != documents || e.Copies != 0 || e.Replicas != 0 {
					t.Errorf("%+v: %d documents from copies, %d from Redis, %d from replicas; %d were asked for", test.q, e.Copies, e.Redis, e.Replicas, documents)
				}
				if p, err := s.index.Explain(t.Context(), &test.q, begin); err != nil || !strings.HasPrefix(p.String(), strings.Split(e.Plan, "; else count")[0]) {
					t.Errorf("%+v: got the plan %q, want %q, %v", test.q, e.Plan, p, err)
				}
				if e.Limit != 1050 || e.Took <= 0 || e.Waited > e.Took {
					t.Errorf("%+v: %+v", test.q, e)
				}
			}
		})
	}
}

// A refusal names the candidates and the limit to those who may see all sessions. Others
// must not know how many there are.
func TestExplain_RefusalsNameTheNumber(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t), MaxCandidates: 5})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		made := sessionOf(fmt.Sprint("s", i), "u", 1)
		device := "d"
		made.UserAgent = session.UserAgent{FingerprintID: &device}
		mustPut(t, s, made)
	}
	q := index.Query{Predicates: []index.Predicate{index.ByUser("u"), index.ByAgent("d")}, Limit: 1}
	for want, sees := range map[string]index.Sees{
		"search too costly: the most selective predicate, userIdQuery, leaves 300 candidates to examine, more than the limit of 5; narrow the search":                 {All: true},
		"search too costly: the most selective predicate, userIdQuery, leaves more than 5 candidates to examine; narrow the search":                                   {Orgs: []string{"o"}},
		"search too costly: the most selective predicate, userIdQuery, leaves more than 5 candidates to examine; narrow the search, or grant the caller session.read": {UserID: "u"},
	} {
		q.Sees = sees
		if _, err := s.Search(t.Context(), &q); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// From copies the explanation says so: of the user's list and of documents; an explained
// search may be answered by a page that is kept of it, and keeps none.
func TestExplain_Copies(t *testing.T) {
	t.Parallel()
	p := startNear(t, redistest.Start(t).Client(t), 1)
	for i := range 5 {
		p.put(sessionOf(fmt.Sprint("s", i), "user", 1))
	}
	p.settle()
	q := &index.Query{Sees: index.Sees{All: true}, Limit: 3, Predicates: []index.Predicate{index.ByUser("user")}}
	key := []byte("the search")
	f := func(want explained, copies, redis int) {
		t.Helper()
		before := p.NearStats().Pages
		page, e, err := p.Explain(t.Context(), q, key)
		if err != nil || page.Total != 5 || len(page.Sessions) != 3 {
			t.Fatalf("%+v, %v", page, err)
		}
		if got := partsOf(e); got != want || e.Copies != copies || e.Redis != redis || (e.RoundTrips == 0) != (redis == 0) {
			t.Errorf("got %+v, %d copies, %d from Redis, %d round trips; want %+v, %d, %d", got, e.Copies, e.Redis, e.RoundTrips, want, copies, redis)
		}
		if !strings.HasPrefix(e.Plan, "examine the user's held list, if it has at most 20000; else ") {
			t.Error(e.Plan)
		}
		if after := p.NearStats().Pages; after.Entries != before.Entries {
			t.Errorf("pages were %+v, and are %+v", before, after)
		}
	}
	held := explained{"userIdQuery", "copy", "held_list", 5, 5, false}
	f(held, 0, 5)
	f(held, 5, 0)
	f(held, 5, 0) // and not from a page that was kept
	for range 2 {
		if _, err := p.SearchAs(t.Context(), q, key); err != nil {
			t.Fatal(err)
		}
	}
	before := countsOf(t, p.Store)["copy"]
	f(explained{"userIdQuery", "copy", "kept_page", 5, 0, false}, 3, 0)
	if after := countsOf(t, p.Store)["copy"]; after.answered != before.answered+1 || after.candidates != before.candidates+5 {
		t.Errorf("counted %+v, before %+v", after, before)
	}
	if page, ok := p.Page(key); !ok || len(page.Sessions) != 3 {
		t.Error("the page is not kept any more")
	}
	p.put(sessionOf("s1", "user", 2))
	p.settle()
	f(held, 4, 1)
}

// A search whose copies do not hold until the end says that it has begun anew, and counts
// the documents and the round trips of both times.
func TestExplain_Anew(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	p := startNear(t, rdb, 1)
	for i := range 5 {
		p.put(sessionOf(fmt.Sprint("s", i), "user", 1))
	}
	p.settle()
	rdb.AddHook(&onFirstRead{do: func() { p.clock.Add(int64(2 * testBound)) }})
	_, e, err := p.Explain(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 3, Predicates: []index.Predicate{index.ByUser("user")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := partsOf(e), (explained{"userIdQuery", "user", "held_list anew short_list", 5, 5, false}); got != want || e.RoundTrips != 4 || e.Redis != 10 || e.Copies != 0 {
		t.Errorf("got %+v, want %+v; %+v", got, want, e)
	}
}

// A costly search that waited for its turn says how long.
func TestExplain_WaitsForItsTurn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	costly, begin := server.Client(t), session.TimeOf(time.Now())
	s, err := Open(t.Context(), Config{Redis: server.Client(t), Costly: costly, Clock: func() session.Time { return begin }})
	if err != nil {
		t.Fatal(err)
	}
	fillForStats(t, s, begin)
	h := make(hold)
	costly.AddHook(h)
	release := sync.OnceFunc(func() { close(h) })
	t.Cleanup(release)
	q := &index.Query{Sees: index.Sees{UserID: "creator"}, Limit: 1}
	type result struct {
		e   *Explanation
		err error
	}
	limit := s.SearchStats().CostlyLimit
	ended := make(chan result, limit+1)
	explain := func() {
		_, e, err := s.Explain(t.Context(), q, nil)
		ended <- result{e, err}
	}
	for range limit {
		go explain()
	}
	eventually.Holds(t, "all places are taken", func() bool { return s.SearchStats().CostlyRunning == limit })
	waits := make(chan result, 1)
	go func() {
		_, e, err := s.Explain(t.Context(), q, nil)
		waits <- result{e, err}
	}()
	eventually.Holds(t, "one waits", func() bool { return s.SearchStats().CostlyWaiting == 1 })
	release()
	for range limit {
		if r := <-ended; r.err != nil || !r.e.Costly {
			t.Errorf("%+v, %v", r.e, r.err)
		}
	}
	if r := <-waits; r.err != nil || !r.e.Costly || r.e.Waited <= 0 || r.e.Waited > r.e.Took || r.e.Candidates != 1100 || r.e.Examined != 1100 {
		t.Errorf("%+v, %v", r.e, r.err)
	}
}

// On a Cluster each master that is asked is a round trip: as many as its nodes were sent.
func TestExplain_EachMasterCounts(t *testing.T) {
	t.Parallel()
	rdb := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	trips := new(tripCount)
	rdb.OnNewNode(func(node *redis.Client) { node.AddHook(trips) })
	begin := session.TimeOf(time.Now())
	s, err := Open(t.Context(), Config{Redis: rdb, Clock: func() session.Time { return begin }})
	if err != nil {
		t.Fatal(err)
	}
	fillForStats(t, s, begin)
	for _, test := range []struct {
		q     index.Query
		want  explained
		trips int64 // at least
	}{
		{index.Query{Predicates: []index.Predicate{index.ByUser("u50")}}, explained{"userIdQuery", "user", "short_list", 10, 10, false}, 2},
		{index.Query{Predicates: []index.Predicate{index.ByIDs("s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9")}}, explained{"idsQuery", "ids", "given_ids", 9, 9, false}, 3},
		{index.Query{}, explained{"", "all", "ranked", 1100, 20, false}, 6},
		{index.Query{Offset: 700}, explained{"", "all", "ranked", 1100, 20, false}, 6},
		{index.Query{Predicates: []index.Predicate{index.ByCreator("creator"), index.ByIDs("s1", "s2")}}, explained{"idsQuery", "ids", "given_ids", 2, 2, false}, 1},
		{index.Query{Sees: index.Sees{Orgs: []string{"o"}}}, explained{"", "all", "counted examined", 1100, 1100, true}, 9},
	} {
		if test.q.Limit = 20; len(test.q.Sees.Orgs) == 0 {
			test.q.Sees.All = true
		}
		before := trips.n.Load()
		_, e, err := s.Explain(t.Context(), &test.q, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sent := trips.n.Load() - before; e.RoundTrips != sent || sent < test.trips || partsOf(e) != test.want {
			t.Errorf("%+v: %d round trips, %d were sent, want at least %d; %+v, want %+v", test.q, e.RoundTrips, sent, test.trips, partsOf(e), test.want)
		}
	}
}
