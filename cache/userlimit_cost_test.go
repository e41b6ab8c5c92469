package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

// A write takes as many round trips with a limit that is not reached as without
// one; with several shards, one more. What does not give a user a session costs
// nothing.
func TestUserLimit_RoundTrips(t *testing.T) {
	for _, c := range []struct {
		shards, limit                    int
		create, userless, replace, evict int64
	}{
		{1, 0, 1, 1, 1, 1},
		{1, 2, 1, 1, 1, 5},
		{4, 0, 3, 3, 1, 3},
		{4, 2, 4, 3, 1, 15},
	} {
		t.Run(fmt.Sprintf("P=%d/limit=%d", c.shards, c.limit), func(t *testing.T) {
			rdb := redistest.Start(t).Client(t)
			s, err := Open(t.Context(), Config{
				Redis: rdb, Shards: c.shards, MaxSessionsPerUser: c.limit, EvictOldest: true, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			trips := new(tripCount)
			rdb.AddHook(trips)
			put := func(what string, want int64, next *session.Session, old *session.Stored) {
				t.Helper()
				before := trips.n.Load()
				if err := s.Put(t.Context(), next, old); err != nil {
					t.Fatal(err)
				}
				if got := trips.n.Load() - before; got != want {
					t.Errorf("%s: %d round trips, want %d", what, got, want)
				}
			}
			of := func(id string, sequence uint64) *session.Session {
				made := sessionOf(id, "u", sequence)
				made.UserAgent.FingerprintID = &made.Factors.User.ID
				return made
			}
			put("create", c.create, of("1", 1), nil)
			put("create, the second", c.create, of("2", 1), nil)
			nobodys := of("n", 1)
			nobodys.Factors = session.Factors{}
			put("create without a user", c.userless, nobodys, nil)
			old, err := s.GetFresh(t.Context(), "2")
			if err != nil {
				t.Fatal(err)
			}
			put("replace", c.replace, of("2", 2), old)
			put("create, the third", c.evict, of("3", 1), nil)
		})
	}
}

// A list that ends where a chunk does is read once, not twice.
func TestUserLimit_ListOfWholeChunks(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	s, err := Open(t.Context(), Config{Redis: rdb, Shards: 1, MaxSessionsPerUser: zlist.Chunk, EvictOldest: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	put := func(i int) {
		t.Helper()
		if err := s.Put(t.Context(), sessionOf(fmt.Sprint(i), "u", 1), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range zlist.Chunk {
		put(i)
	}
	trips := new(tripCount)
	rdb.AddHook(trips)
	put(zlist.Chunk)
	// Refused, list, documents, nothing more in the list, eviction, done.
	if got := trips.n.Load(); got != 6 {
		t.Errorf("%d round trips, want 6", got)
	}
}

// An evicted session is served by no copy, and by no list of its user. (I4)
func TestI4_EvictedIsForgotten(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			rdb := redistest.Start(t).Client(t)
			p := openNear(t, Config{
				Redis: rdb, Shards: shards, NearBytes: 16 << 20, NearStaleness: testBound, MaxSessionsPerUser: 2, EvictOldest: true,
			})
			p.run()
			p.await("the near cache is usable", p.usable)
			p.put(sessionOf("1", "u", 1))
			p.put(sessionOf("2", "u", 1))
			p.settle()
			for _, hit := range []bool{false, true} {
				p.want("1", 1, hit)
			}
			if got := p.ofUser("u"); !slices.Equal(got, []session.ID{"1", "2"}) {
				t.Errorf("the user has %v", got)
			}
			p.put(sessionOf("3", "u", 1))
			if s, err := p.Get(t.Context(), "1"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %+v, %v, want ErrNotFound", s, err)
			}
			if got := p.ofUser("u"); !slices.Equal(got, []session.ID{"2", "3"}) {
				t.Errorf("the user has %v", got)
			}
		})
	}
}

// A Redis that has forgotten its scripts gets admit.lua again.
func TestUserLimit_ScriptIsLoadedAgain(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	s, err := Open(t.Context(), Config{Redis: rdb, Shards: 4, MaxSessionsPerUser: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, session.ErrUserLimit} {
		if err := rdb.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), sessionOf(fmt.Sprint(i), "u", 1), nil); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}
