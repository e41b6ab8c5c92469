package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/lookalike"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// The suite that the brute-force model passes too.
func TestContract(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		storetest.Run(t, func(t *testing.T, l storetest.Limits) (storetest.Store, func(time.Duration)) {
			if l.MaxSessions > 0 && shards > 1 {
				// Only a store of one shard can count its sessions: this is the same as the test of P=1.
				s := openEmpty(t, startRedis(t), 1, l)
				return s.Store, s.clock.Advance
			}
			s := openEmpty(t, client, shards, l)
			t.Cleanup(func() {
				if !t.Failed() {
					s.audit(t, false)
				}
			})
			return s.Store, s.clock.Advance
		})
	})
}

// The same with a near cache, so small that it evicts.
func TestContractNear(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		hits := uint64(0)
		storetest.Run(t, func(t *testing.T, l storetest.Limits) (storetest.Store, func(time.Duration)) {
			if l.MaxSessions > 0 {
				shards = 1
			}
			flush(t, client)
			s, stop := openNear(t, client, shards, storetest.NewClock(), l)
			t.Cleanup(func() {
				hits += s.NearStats().Sessions.Hits
				stop()
			})
			return s.Store, s.clock.Advance
		})
		if hits == 0 {
			t.Error("no copy was ever used")
		}
	})
}

func TestContractMiniredis(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, l storetest.Limits) (storetest.Store, func(time.Duration)) {
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
	return server.Client(t, func(o *redis.Options) { o.Network, o.Addr = "unix", server.Socket })
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
func openNear(t rapid.TB, client redis.UniversalClient, shards int, clock *storetest.Clock, l storetest.Limits) (s *testStore, stop func()) {
	t.Helper()
	s = openConfig(t, clock, limited(l, cache.Config{Redis: client, Shards: shards, Clock: clock.Now, NearBytes: 1 << 20}))
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
	return &testStore{Store: store, client: c.Redis, clock: clock, keys: space}
}

func (s *testStore) sweep(t rapid.TB) {
	t.Helper()
	if _, err := s.Sweep(context.Background()); err != nil {
		t.Fatalf("Sweep: %v", err)
	}
}
