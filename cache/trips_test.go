package cache

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// tripCount is a hook that counts round trips.
type tripCount struct{ n atomic.Int64 }

func (c *tripCount) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *tripCount) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name != "hello" && name != "client" {
			c.n.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (c *tripCount) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name != "hello" && name != "client" {
			c.n.Add(1)
		}
		return next(ctx, cmds)
	}
}

// A page that one predicate leads to takes two round trips, or one if a guess was right: which sessions, and
// their documents. From the near cache it takes none.
func TestSearch_TakesTwoRoundTrips(t *testing.T) {
	const begin = session.Time(1_700_000_000_000_000)
	rdb := redistest.Start(t).Client(t)
	fill := func(s *Store) {
		t.Helper()
		for i := range 600 {
			device := fmt.Sprint("device", i/20)
			made := sessionOf(fmt.Sprintf("s%04d", i), fmt.Sprint("user", i/10), 1)
			made.CreationDate = begin + session.Time(i)
			made.Creator, made.UserAgent = "creator", session.UserAgent{FingerprintID: &device}
			if err := s.Put(t.Context(), made, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	plain, err := Open(t.Context(), Config{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	fill(plain)
	near := startNear(t, rdb, 1)
	trips := new(tripCount)
	rdb.AddHook(trips)

	all := index.Sees{All: true}
	since := index.ByCreation(index.Dates{Min: begin + 100, Max: session.Never})
	until := index.ByCreation(index.Dates{Min: 0, Max: begin + 400})
	between := index.ByCreation(index.Dates{Min: begin + 100, Max: begin + 400})
	f := func(want int64, s *Store, q index.Query, each ...int64) {
		t.Helper()
		q.Limit = 20
		for i, ascending := range []bool{false, true} {
			if q.Ascending = ascending; i < len(each) {
				want = each[i]
			}
			before := trips.n.Load()
			page, err := s.Search(t.Context(), &q)
			if err != nil || len(page.Sessions) == 0 {
				t.Fatalf("%+v: %v, %v", q, page, err)
			}
			if got := trips.n.Load() - before; got != want {
				t.Errorf("%+v took %d round trips, want %d", q, got, want)
			}
		}
	}
	by := func(p ...index.Predicate) []index.Predicate { return p }
	f(1, plain, index.Query{Sees: all, Predicates: by(index.ByIDs("s0001", "s0002"))})
	// A list that was read before is read together with the sessions that were on it, if these are few.
	f(2, plain, index.Query{Sees: all, Predicates: by(index.ByUser("user7"))}, 2, 1)
	f(2, plain, index.Query{Sees: all, Predicates: by(index.ByUser("user20"), between)}, 2, 1)
	f(1, plain, index.Query{Sees: all, Predicates: by(index.ByUser("user7"), index.ByAgent("device3"), index.ByCreator("creator"))})
	f(2, plain, index.Query{Sees: all, Predicates: by(index.ByAgent("device7"))})
	f(2, plain, index.Query{Sees: all})
	f(2, plain, index.Query{Sees: all, Predicates: by(index.ByCreator("creator"))})
	f(2, plain, index.Query{Sees: all, Predicates: by(since)})
	f(2, plain, index.Query{Sees: all, Predicates: by(until)})
	f(2, plain, index.Query{Sees: all, Predicates: by(between)})
	f(2, plain, index.Query{Sees: all, Predicates: by(between), Offset: 100})
	f(2, plain, index.Query{Sees: all, Predicates: by(index.ByCreator("creator"), between)})
	f(2, plain, index.Query{Sees: index.Sees{UserID: "user7"}})
	f(2, plain, index.Query{Sees: all, Offset: 500})
	for _, after := range []*index.Candidate{{}, {Creation: begin + 300, ID: "s0300"}, {Creation: begin + 300, ID: "gone"}} {
		f(2, plain, index.Query{Sees: all, Cursor: after})
		f(2, plain, index.Query{Sees: all, Predicates: by(index.ByCreator("creator"), between), Cursor: after})
	}
	f(2, plain, index.Query{Sees: all, Predicates: by(index.ByUser("user30"))}, 2, 1)
	f(1, plain, index.Query{Sees: all, Predicates: by(index.ByUser("user30")), Cursor: &index.Candidate{Creation: begin + 305, ID: "s0305"}, Ascending: true})

	search := func(want int64, q index.Query) {
		t.Helper()
		before := trips.n.Load()
		for range 2 {
			if _, err := near.Search(t.Context(), &q); err != nil {
				t.Fatal(err)
			}
		}
		if got := trips.n.Load() - before; got != want {
			t.Errorf("%+v twice took %d round trips, want %d", q, got, want)
		}
	}
	search(2, index.Query{Sees: all, Limit: 20, Predicates: by(index.ByUser("user20"), between)})
	search(0, index.Query{Sees: all, Limit: 20, Predicates: by(index.ByUser("user20"))})
	search(0, index.Query{Sees: all, Limit: 2, Predicates: by(index.ByUser("user20")), Cursor: &index.Candidate{Creation: begin + 205, ID: "s0205"}})
	search(1, index.Query{Sees: all, Limit: 20, Predicates: by(index.ByIDs("s0001", "s0002"))})
	search(0, index.Query{Sees: all, Limit: 20, Predicates: by(index.ByIDs("s0001"), index.ByUser("user0"))})
}

// A long page takes a round trip for each 250 documents, and few for the lists: with
// one shard, one for a page by offset, and one more for one behind a cursor.
func TestSearch_TripsOfLongPages(t *testing.T) {
	const (
		begin = session.Time(1_700_000_000_000_000)
		n     = 2600
	)
	id := func(i int) string { return fmt.Sprintf("s%04d", i) }
	for _, shards := range []int{1, 4} {
		rdb := redistest.Start(t).Client(t)
		s, err := Open(t.Context(), Config{Redis: rdb, Shards: shards})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			made := sessionOf(id(i), "user", 1)
			made.CreationDate = begin + session.Time(i/2) // pairs of one date
			if err := s.Put(t.Context(), made, nil); err != nil {
				t.Fatal(err)
			}
		}
		trips := new(tripCount)
		rdb.AddHook(trips)
		at := func(i int) *index.Candidate {
			return &index.Candidate{Creation: begin + session.Time(i/2), ID: session.ID(id(i))}
		}
		gone := &index.Candidate{Creation: begin + n/4, ID: "gone"}
		f := func(want int64, limit int, after *index.Candidate) {
			t.Helper()
			for _, ascending := range []bool{true, false} {
				before := trips.n.Load()
				page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: limit, Ascending: ascending, Cursor: after})
				if err != nil || len(page.Sessions) != limit || page.Total != n || page.More != (after != nil) {
					t.Fatalf("limit %d, after %+v: %+v, %v", limit, after, page, err)
				}
				if got := trips.n.Load() - before; got > want {
					t.Errorf("P=%d, limit %d, ascending %v, after %+v: %d round trips, want at most %d", shards, limit, ascending, after, got, want)
				}
			}
		}
		if shards == 1 {
			for _, after := range []*index.Candidate{nil, {}} {
				f(1+1, 250, after)
				f(1+4, 1000, after)
			}
			for _, after := range []*index.Candidate{at(n / 2), at(n/2 + 1), gone} {
				f(2+1, 250, after)
				f(2+4, 1000, after)
			}
			continue
		}
		for _, after := range []*index.Candidate{nil, {}, at(n / 2), at(n/2 + 1), gone} { // a shard has more than its share, or less
			f(4+1, 250, after)
			f(4+4+4, 1000, after)
		}
	}
}

// A wrong guess does not change the answer, whether sessions came, went or changed user since the list was last read. (I9)
func TestI9_AGuessAnswersNothing(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	trips := new(tripCount)
	var stores [2]*Store // the second writes behind the first one's back
	for i := range stores {
		var err error
		if stores[i], err = Open(t.Context(), Config{Redis: rdb}); err != nil {
			t.Fatal(err)
		}
	}
	rdb.AddHook(trips)
	f := func(what string, wantTrips int64, want ...session.ID) {
		t.Helper()
		before := trips.n.Load()
		page, err := stores[0].Search(t.Context(), &index.Query{Predicates: []index.Predicate{index.ByUser("u")}, Sees: index.Sees{All: true}, Limit: 20, Ascending: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []session.ID
		for _, s := range page.Sessions {
			got = append(got, s.ID)
		}
		if took := trips.n.Load() - before; took != wantTrips || !slices.Equal(got, want) || page.Total != uint64(len(want)) {
			t.Errorf("%s: %v of %d in %d trips, want %v in %d", what, got, page.Total, took, want, wantTrips)
		}
	}
	put := func(id, user string, sequence uint64) { mustPut(t, stores[1], sessionOf(id, user, sequence)) }
	f("nobody", 1)
	put("1", "u", 1)
	put("3", "u", 1)
	f("new", 2, "1", "3")
	f("the same", 1, "1", "3")
	put("2", "u", 1)
	f("one came", 2, "1", "2", "3")
	put("1", "u", 2)
	f("one changed", 1, "1", "2", "3")
	mustDelete(t, stores[1], "2")
	f("one went", 1, "1", "3")
	f("and is not asked for again", 1, "1", "3")
	put("3", "v", 2)
	f("one has another user", 1, "1")
	put("3", "u", 3)
	put("4", "u", 1)
	f("it is back, and another came", 2, "1", "3", "4")
	mustDelete(t, stores[1], "1")
	mustDelete(t, stores[1], "3")
	mustDelete(t, stores[1], "4")
	f("nobody is left", 1)

	// A guess that cannot be read does not fail the search: what is under its key has another type.
	put("1", "u", 9)
	put("2", "u", 9)
	f("two", 2, "1", "2")
	mustDelete(t, stores[1], "2")
	if err := rdb.Set(t.Context(), stores[0].keys.Session("2"), "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	f("one that cannot be read", 3, "1")
	f("and is not asked for again", 1, "1")
}
