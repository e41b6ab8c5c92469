package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// cutStore is a store twice: once on a client whose round trips can be cut,
// once, embedded, on a client that is well.
type cutStore struct {
	*testStore
	frail  *cache.Store
	faults *redistest.Faults
}

// cutServer is a Redis with both clients.
type cutServer struct {
	well, frail *redis.Client
	faults      *redistest.Faults
	shards      int
}

func startCutServer(t *testing.T, shards int) *cutServer {
	t.Helper()
	server := redistest.Start(t)
	c := &cutServer{well: socketClient(t, server), frail: socketClient(t, server), faults: new(redistest.Faults), shards: shards}
	c.frail.AddHook(c.faults)
	return c
}

// open empties the server and opens the store twice, under one clock.
func (c *cutServer) open(t *testing.T) *cutStore {
	t.Helper()
	c.faults.Arm(redistest.Cut{})
	s := openEmpty(t, c.well, c.shards, storetest.Limits{})
	return &cutStore{testStore: s, frail: open(t, c.frail, c.shards, s.clock, storetest.Limits{}).Store, faults: c.faults}
}

// nameable has JWTs name the sessions of s, so that a delete leaves an end.
func (s *cutStore) nameable() *cutStore {
	for _, store := range []*cache.Store{s.Store, s.frail} {
		store.SetEndsFor(func(session.ID) (time.Duration, bool) { return time.Hour, true })
	}
	return s
}

// operation is a write that can be repeated: it reads again, and does what is
// left to do.
type operation struct {
	name    string
	prepare func(t *testing.T, s *cutStore)
	run     func(ctx context.Context, s *cutStore, store *cache.Store) error
	// lives says which version of session "1" is there when it is done; 0 for none.
	lives uint64
}

// put writes a version of session "1" unless a later one is there.
func put(sequence uint64, parts ...storetest.Part) func(context.Context, *cutStore, *cache.Store) error {
	return func(ctx context.Context, s *cutStore, store *cache.Store) error {
		old, err := store.GetFresh(ctx, "1")
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			return err
		}
		if old != nil && old.Sequence >= sequence {
			return nil
		}
		return store.Put(ctx, storetest.New("1", s.Now(), append(slices.Clip(parts), storetest.Sequence(sequence))...), old)
	}
}

// remove deletes session "1" unless it is gone.
func remove(ctx context.Context, _ *cutStore, store *cache.Store) error {
	old, err := store.GetFresh(ctx, "1")
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = store.Delete(ctx, old, "revoked"); errors.Is(err, session.ErrNotFound) {
		return nil
	}
	return err
}

func sweep(ctx context.Context, _ *cutStore, store *cache.Store) error {
	_, err := store.Sweep(ctx)
	return err
}

var (
	ada = []storetest.Part{
		storetest.User("ada", "o1"), storetest.Agent("laptop"), storetest.Creator("gateway"), storetest.ForeignToken("ada's"),
	}
	bob = []storetest.Part{
		storetest.User("bob", "o2"), storetest.Agent("phone"), storetest.Creator("mirror"), storetest.ForeignToken("bob's"),
		storetest.Expires(session.Never),
	}
)

// other stores a session that shares every list with ada's and lives long.
func other(t *testing.T, s *cutStore) {
	t.Helper()
	err := s.Put(t.Context(), storetest.New("2", s.Now(), append(slices.Clip(ada), storetest.Expires(session.Never))...), nil)
	if err != nil {
		t.Fatal(err)
	}
}

// first stores session "1" as ada's, and another beside it.
func first(t *testing.T, s *cutStore) {
	t.Helper()
	other(t, s)
	if err := put(1, ada...)(t.Context(), s, s.Store); err != nil {
		t.Fatal(err)
	}
}

// ended lets ada's session end.
func ended(t *testing.T, s *cutStore) {
	t.Helper()
	first(t, s)
	s.clock.Advance(2 * time.Hour)
}

// dropped lets ada's session end and its hash go, as Redis' TTL does.
func dropped(t *testing.T, s *cutStore) {
	t.Helper()
	ended(t, s)
	if err := s.client.Del(t.Context(), s.keys.Session("1")).Err(); err != nil {
		t.Fatal(err)
	}
}

// condemned leaves a replacement behind that died before its script, and a
// removal that died before it began.
func condemned(t *testing.T, s *cutStore) {
	t.Helper()
	first(t, s)
	isScript := func(_ int, cmds []redis.Cmder) error {
		if cmds[0].Name() == "evalsha" {
			return redistest.ErrCut
		}
		return nil
	}
	s.faults.Arm(redistest.Cut{Before: isScript})
	if err := put(2, bob...)(t.Context(), s, s.frail); !errors.Is(err, session.ErrUnavailable) {
		t.Fatalf("Put: %v, want ErrUnavailable", err)
	}
	done := false
	s.faults.Arm(redistest.Cut{
		Before: func(int, []redis.Cmder) error {
			if done {
				return redistest.ErrCut
			}
			return nil
		},
		After: func(_ int, cmds []redis.Cmder) error {
			done = done || scriptRan(cmds)
			return nil
		},
	})
	if err := put(2, bob...)(t.Context(), s, s.frail); err != nil {
		t.Fatal(err)
	}
	s.faults.Arm(redistest.Cut{})
	s.clock.Advance(2 * time.Minute)
}

// scriptRan says whether a trip has run a script. Redis may have forgotten it, and is
// asked twice then.
func scriptRan(cmds []redis.Cmder) bool {
	name := cmds[0].Name()
	return (name == "evalsha" || name == "eval") && cmds[0].Err() == nil
}

var operations = []operation{
	{"create", other, put(1, ada...), 1},
	{"replace", first, put(2, bob...), 2},
	{"replace, in the same lists", first, put(2, append(ada, storetest.Metadata("k", []byte("v")))...), 2},
	{"replace, with nothing", first, put(2, storetest.Creator("")), 2},
	{"delete", first, remove, 0},
	{"sweep a session", ended, sweep, 0},
	{"sweep a session without its hash", dropped, sweep, 0},
	{"sweep writes that were cut off", condemned, sweep, 2},
	{"create again, as another's", ended, put(1, bob...), 1},
	{"create again, all the same", ended, func(ctx context.Context, s *cutStore, store *cache.Store) error {
		return put(1, append(ada, storetest.Created(s.Now().Add(-2*time.Hour)), storetest.Expires(session.Never))...)(ctx, s, store)
	}, 1},
	{"create again, without its hash", dropped, put(1, bob...), 1},
}

// cuts are the ways in which an operation can be cut at one of its round trips.
var cuts = []struct {
	name string
	at   func(trip int) redistest.Cut
}{{"not sent", redistest.CutBefore}, {"reply lost", redistest.CutAfter}, {"process dies", redistest.CrashBefore}}

// A write that is cut between any two of its steps, or whose reply is lost, or
// whose process dies there, leaves every live session with all its entries. It
// can be repeated, doubles nothing, and what it left behind disappears.
func TestI5_CutAnywhere(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		isDone := testdepth.OneIn(t, 4)
		for i, o := range operations {
			for j, cut := range cuts {
				for k, again := range []bool{true, false} {
					if !isDone(i + j + 2*k + shards/4) {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/again=%v", o.name, cut.name, again), func(t *testing.T) {
						cutEverywhere(t, c, &o, cut.at, again)
					})
				}
			}
		}
	})
}

// cutEverywhere cuts an operation at its first trip, at its second, … until it is through.
func cutEverywhere(t *testing.T, c *cutServer, o *operation, cut func(int) redistest.Cut, again bool) {
	for trip := 1; ; trip++ {
		s := c.open(t).nameable()
		o.prepare(t, s)
		s.faults.Arm(cut(trip))
		err := o.run(t.Context(), s, s.frail)
		fired := s.faults.Fired()
		if err != nil && !(fired && errors.Is(err, session.ErrUnavailable) && !errors.Is(err, session.ErrNotFound)) {
			t.Fatalf("cut at trip %d: %v", trip, err)
		}
		s.settles(t, fmt.Sprintf("cut at trip %d", trip), o, err == nil, again)
		if !fired {
			if trip == 1 {
				t.Fatal("nothing was cut")
			}
			return
		}
	}
}

// settles checks what an operation left behind, done or not.
func (s *cutStore) settles(t *testing.T, when string, o *operation, done, again bool) {
	t.Helper()
	t.Log(when) // shown if the test fails
	s.audit(t, false)
	if again {
		if err := o.run(t.Context(), s, s.Store); err != nil {
			t.Fatalf("once more: %v", err)
		}
		done = true
	}
	s.audit(t, false)
	if done {
		s.has(t, o.lives)
	}
	s.clock.Advance(2 * time.Minute)
	s.sweep(t)
	s.audit(t, true)
	if done {
		s.has(t, o.lives)
	}
}

// has checks that session "1" is there in this version, 0 for not at all, and
// that every search finds it once.
func (s *cutStore) has(t *testing.T, sequence uint64) {
	t.Helper()
	stored, err := s.Get(t.Context(), "1")
	total := uint64(1)
	if sequence > 0 {
		total++
	}
	switch {
	case sequence == 0 && !errors.Is(err, session.ErrNotFound):
		t.Fatalf("Get: %+v, %v, want ErrNotFound", stored, err)
	case sequence > 0 && err != nil:
		t.Fatalf("Get: %v, want version %d", err, sequence)
	case sequence > 0 && stored.Sequence != sequence:
		t.Fatalf("version %d, want %d", stored.Sequence, sequence)
	}
	p, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if p.Total != total || len(p.Sessions) != int(total) {
		t.Fatalf("%d sessions of %d, want %d", len(p.Sessions), p.Total, total)
	}
	if sequence == 0 {
		return
	}
	for _, by := range []index.Predicate{index.ByUser(stored.UserID), index.ByAgent(stored.AgentID), index.ByCreator(stored.Creator)} {
		if by.Value == "" {
			continue
		}
		p, err := s.Search(t.Context(), &index.Query{Predicates: []index.Predicate{by, index.ByIDs("1")}, Sees: index.Sees{All: true}, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if p.Total != 1 || len(p.Sessions) != 1 {
			t.Fatalf("Search(%+v): %d sessions of %d, want 1", by, len(p.Sessions), p.Total)
		}
	}
}
