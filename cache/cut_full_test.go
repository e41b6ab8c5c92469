package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// filler is a key as large as maxmemory. Redis takes it, because it looks at
// what is in use before a command, and is then full by what else is there.
const (
	filler    = "filler"
	maxmemory = 16 << 20
)

// A Redis at maxmemory takes no session, half or whole, and still revokes.
func TestI5_FullRedis(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t, fmt.Sprintf("maxmemory %d", maxmemory), "maxmemory-policy noeviction")
		s := openEmpty(t, client, shards, storetest.Limits{})
		for i := range 5 {
			id := session.ID(rune('1' + i))
			parts := append(ada, storetest.ForeignToken(string(id)), storetest.Expires(s.Now().Add(time.Duration(i+1)*time.Hour)))
			if err := s.Put(t.Context(), storetest.New(id, s.Now(), parts...), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.SetRange(t.Context(), filler, maxmemory-1, "x").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := cache.Open(t.Context(), cache.Config{Redis: client}); err != nil {
			t.Errorf("a process that starts on a full Redis: %v", err)
		}
		get := func(id session.ID) *session.Stored {
			t.Helper()
			stored, err := s.GetFresh(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return stored
		}

		for name, err := range map[string]error{
			"create":  s.Put(t.Context(), storetest.New("9", s.Now(), bob...), nil),
			"replace": s.Put(t.Context(), storetest.New("5", s.Now(), append(bob, storetest.Sequence(2))...), get("5")),
			"set":     s.Put(t.Context(), storetest.New("4", s.Now(), append(ada, storetest.Sequence(2))...), get("4")),
		} {
			if !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
		}
		if _, err := s.Delete(t.Context(), get("3"), "revoked"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		s.clock.Advance(time.Hour)
		s.sweep(t) // of session "1"
		if n := client.Exists(t.Context(), s.keys.Tombstone("3")).Val(); n != 1 {
			t.Error("the delete left no tombstone")
		}
		for _, id := range []session.ID{"1", "3", "9"} {
			if stored, err := s.Get(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Get(%s): %+v, %v, want ErrNotFound", id, stored, err)
			}
		}
		for _, id := range []session.ID{"2", "4", "5"} {
			if got := get(id); got.Sequence != 1 || got.UserID != "ada" {
				t.Errorf("session %+v was changed", got.Facts)
			}
		}
		if err := client.Del(t.Context(), filler).Err(); err != nil {
			t.Fatal(err)
		}
		s.audit(t, false)
		if err := s.Put(t.Context(), storetest.New("3", s.Now(), storetest.Sequence(2)), nil); !errors.Is(err, session.ErrDeleted) {
			t.Errorf("Put of a version that was revoked: %v, want ErrDeleted", err)
		}
		s.clock.Advance(2 * time.Minute)
		s.sweep(t)
		s.audit(t, true)
	})
}

// Redis becomes full between any two steps of a write.
func TestI5_FullAnywhere(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		memory := func(t *testing.T, limit string) {
			t.Helper()
			if err := c.well.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.well.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
			t.Fatal(err)
		}
		isDone := testdepth.OneIn(t, 4)
		for i, o := range operations {
			if !isDone(i + shards/4) {
				continue
			}
			t.Run(o.name, func(t *testing.T) {
				for trip := 1; ; trip++ {
					s := c.open(t)
					o.prepare(t, s)
					full := false
					s.faults.Arm(redistest.Cut{Before: func(n int, _ []redis.Cmder) error {
						if n == trip {
							full = true
							memory(t, "1")
						}
						return nil
					}})
					err := o.run(t.Context(), s, s.frail)
					s.faults.Arm(redistest.Cut{})
					memory(t, "0")
					if err != nil && !errors.Is(err, session.ErrUnavailable) {
						t.Fatalf("full from trip %d on: %v", trip, err)
					}
					if frees := o.lives == 0; frees && err != nil {
						t.Fatalf("full from trip %d on: what frees memory failed: %v", trip, err)
					}
					s.settles(t, fmt.Sprintf("full from trip %d on", trip), &o, err == nil, true)
					if !full {
						return
					}
				}
			})
		}
	})
}

// Redis forgets its scripts, as a replica that takes over does.
func TestScriptsAreLoadedAgain(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		for _, o := range operations {
			t.Run(o.name, func(t *testing.T) {
				s := c.open(t)
				o.prepare(t, s)
				if err := c.well.ScriptFlush(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				if err := o.run(t.Context(), s, s.Store); err != nil {
					t.Fatal(err)
				}
				s.settles(t, "the scripts were gone", &o, true, false)
			})
		}
	})
}

// Redis' own TTL ends a session: its hash goes by itself, and the sweeper
// clears what is left, or a put of the same ID does.
func TestTTL(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		store, err := cache.Open(t.Context(), cache.Config{Redis: client, Shards: shards}) // by Redis' own clock
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, client, shards, storetest.NewClock(), storetest.Limits{})
		s.Store = store
		until := s.Now().Add(300 * time.Millisecond)
		for _, id := range []session.ID{"1", "2", "3"} {
			if err := s.Put(t.Context(), storetest.New(id, s.Now(), append(ada, storetest.Expires(until))...), nil); err != nil {
				t.Fatal(err)
			}
		}
		s.audit(t, true)
		for _, id := range []session.ID{"1", "2", "3"} {
			waitGone(t, client, s.keys.Session(id))
			if stored, err := s.Get(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Get(%s): %+v, %v, want ErrNotFound", id, stored, err)
			}
		}
		if lists, err := readLists(t.Context(), client); err != nil || len(lists.entries) == 0 {
			t.Fatalf("no entries are left to sweep: %v", err)
		}
		if err := s.Put(t.Context(), storetest.New("2", s.Now(), bob...), nil); err != nil {
			t.Fatal(err)
		}
		s.audit(t, false)
		s.sweep(t)
		s.audit(t, true)
		if live := s.live(t); len(live) != 1 || live[0].ID != "2" || live[0].UserID != "bob" {
			t.Errorf("%+v, want bob's session alone", live)
		}
		old, err := s.GetFresh(t.Context(), "2")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Delete(t.Context(), old, "revoked"); err != nil {
			t.Fatal(err)
		}
		if ttl := client.PTTL(t.Context(), s.keys.Tombstone("2")).Val(); ttl <= 0 || ttl > storetest.TombstoneTTL {
			t.Errorf("the tombstone lives %v, want up to %v", ttl, storetest.TombstoneTTL)
		}
	})
}

// waitGone waits until Redis reports that it has no such key.
func waitGone(t *testing.T, client redis.UniversalClient, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const noKey = -2 // of PTTL
	for {
		ttl, err := client.PTTL(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if ttl == noKey {
			return
		}
	}
}
