package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/lookalike"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// The suite that the brute-force model passes too, then the property test and what neither reaches, all as a user who has
// the rights of the table and no others: nothing is refused, and of the table nothing is unused.
func TestContract(t *testing.T) {
	t.Parallel()
	table := acl.Needed(cache.Rights(), acl.JWTs|acl.Near|acl.Waits)
	var mu sync.Mutex
	used, done := map[string]bool{}, 0
	t.Cleanup(func() {
		if !t.Failed() && done > 1 { // one alone does not use all
			checkTable(t, table, used)
		}
	})
	for _, kind := range []struct {
		shards int
		near   bool
		always bool // with -short, too: shards and near cache are both there, and both not
	}{{1, false, true}, {4, true, true}, {1, true, false}, {4, false, false}} {
		if !testdepth.Of(true, kind.always) {
			continue
		}
		t.Run(fmt.Sprintf("P=%d,near=%v", kind.shards, kind.near), func(t *testing.T) {
			t.Parallel()
			l := startLeast(t)
			own := map[string]bool{}
			l.contract(t, kind.shards, kind.near, own, 1)
			if t.Failed() {
				return
			}
			l.operate(t, kind.shards)
			l.collect(t, own)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(used, own)
			done++
		})
	}
}

// contract runs the suite as the user, on stores with a small near cache or without one, and checks what they leave in
// Redis. It adds the commands that they use to used, if that is not nil. With -short it does one test in n.
func (l *least) contract(t *testing.T, shards int, near bool, used map[string]bool, n int) {
	t.Helper()
	hits := uint64(0)
	storetest.RunOneIn(t, n, func(t *testing.T, limits storetest.Limits) (storetest.Store, func(time.Duration)) {
		shards := shards
		if limits.MaxSessions > 0 {
			shards = 1 // only a store of one shard can count its sessions
		}
		l.empty(t)
		var s *testStore
		if near {
			var stop func()
			s, stop = openNear(t, l.user(), shards, storetest.NewClock(), limits, rand.IntN(2) == 0)
			t.Cleanup(func() {
				hits += s.NearStats().Sessions.Hits
				stop()
			})
		} else {
			s = open(t, l.user(), shards, storetest.NewClock(), limits)
			l.each(t, func(admin *redis.Client) error { return admin.ScriptFlush(t.Context()).Err() }) // as after a restart of Redis
		}
		s.client = l.all
		t.Cleanup(func() {
			if t.Failed() {
				return
			}
			if used != nil {
				l.collect(t, used) // not what comes now
				defer l.forget(t)
			}
			s.audit(t, false)
		})
		return newKeeping(s.Store, false), s.clock.Advance
	})
	if near && hits == 0 && testdepth.Of(n, 1) == n {
		t.Error("no copy was ever used")
	}
}

func TestContract_Miniredis(t *testing.T) {
	t.Parallel()
	storetest.RunOneIn(t, 4, func(t *testing.T, l storetest.Limits) (storetest.Store, func(time.Duration)) {
		s := openEmpty(t, startMiniredis(t), 1, l)
		return s.Store, s.clock.Advance
	})
}

// eachShards runs a test for a store of one shard and for one of several.
func eachShards(t *testing.T, test func(t *testing.T, shards int)) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) { test(t, shards) })
	}
}

// startRedis starts a Redis of the test's own and returns a client of it.
func startRedis(t *testing.T, conf ...string) *redis.Client {
	t.Helper()
	return socketClient(t, redistest.Start(t, conf...))
}

func socketClient(t *testing.T, server *redistest.Server) *redis.Client {
	t.Helper()
	return server.Client(t, func(o *redis.Options) { o.Network, o.Addr, o.TLSConfig = "unix", server.Socket, nil })
}

func startMiniredis(t *testing.T) *redis.Client {
	t.Helper()
	server := miniredis.RunT(t)
	lookalike.AdaptScripts(server)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// testStore is a store with the clock that drives it and the keys it uses.
type testStore struct {
	*cache.Store
	client redis.UniversalClient
	clock  *storetest.Clock
	keys   *keys.Space
}

// openEmpty empties the server and opens a store on it.
func openEmpty(t rapid.TB, client redis.UniversalClient, shards int, l storetest.Limits) *testStore {
	t.Helper()
	flush(t, client)
	return open(t, client, shards, storetest.NewClock(), l)
}

// flush empties the server, or every master of a Cluster.
func flush(t rapid.TB, client redis.UniversalClient) {
	t.Helper()
	err := eachServer(context.Background(), client, func(ctx context.Context, server *redis.Client) error {
		return server.FlushAll(ctx).Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a store that goes by clock.
func open(t rapid.TB, client redis.UniversalClient, shards int, clock *storetest.Clock, l storetest.Limits) *testStore {
	t.Helper()
	return openConfig(t, clock, limited(l, cache.Config{Redis: client, Shards: shards, Clock: clock.Now}))
}

// openNear opens a store with a small near cache, which runs until stop.
func openNear(t rapid.TB, client redis.UniversalClient, shards int, clock *storetest.Clock, l storetest.Limits, byKey bool) (s *testStore, stop func()) {
	t.Helper()
	s = openConfig(t, clock, limited(l, cache.Config{Redis: client, Shards: shards, Clock: clock.Now, NearBytes: 1 << 20, NearByKey: byKey}))
	end, err := s.StartNear()
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := end(); err != nil {
			t.Errorf("the near cache: %v", err)
		}
	}
}

// limited returns c with limits.
func limited(l storetest.Limits, c cache.Config) cache.Config {
	c.MaxCandidates, c.MaxSessions = l.MaxCandidates, l.MaxSessions
	c.MaxSessionsPerUser, c.EvictOldest = l.MaxSessionsPerUser, l.EvictOldest
	if l.EvictOldest { // each eviction is logged
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func openConfig(t rapid.TB, clock *storetest.Clock, c cache.Config) *testStore {
	t.Helper()
	store, err := cache.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	space, err := keys.NewSpace(keys.DefaultPrefix, store.Shards())
	if err != nil {
		t.Fatal(err)
	}
	store.SetEndsFor(storetest.EndsFor)
	return &testStore{Store: store, client: c.Redis, clock: clock, keys: space}
}

func (s *testStore) sweep(t rapid.TB) {
	t.Helper()
	if _, err := s.Sweep(context.Background()); err != nil {
		t.Fatalf("Sweep: %v", err)
	}
}
