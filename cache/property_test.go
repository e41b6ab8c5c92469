package cache_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

func TestI9_StoreAnswersAsTheModel(t *testing.T) {
	t.Parallel()
	ops := propertyOps(t)
	check := func(ops int, near bool) func(*testing.T, int) {
		return func(t *testing.T, shards int) {
			client := startRedis(t)
			checkProperty(t, func() redis.UniversalClient { return client }, shards, ops, 1200, near)
		}
	}
	eachShards(t, check(ops/3, false))
	t.Run("near", func(t *testing.T) { eachShards(t, check(ops/6, true)) })
}

// propertyOps is how many operations the property test does at least.
func propertyOps(t *testing.T) int {
	t.Helper()
	text, is := os.LookupEnv("CLOAKROOM_TEST_OPS")
	if !is {
		return testdepth.Of(100_000, 15_000)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CLOAKROOM_TEST_OPS=%s: want a number of operations", text)
	}
	return n
}

func TestI9_MiniredisAnswersAsTheModel(t *testing.T) {
	t.Parallel()
	client := startMiniredis(t)
	checkProperty(t, func() redis.UniversalClient { return client }, 1, testdepth.Of(6000, 1500), 0, false)
}

// checkProperty runs the property test until it has done ops operations, on stores that begin empty or with many sessions, of
// largest sessions at most. connect makes each store's client.
func checkProperty(t *testing.T, connect func() redis.UniversalClient, shards, ops, largest int, near bool) {
	t.Helper()
	var pages atomic.Int64
	defer func() {
		// One operation in 75 or so leads to a page that is kept, and half of the cases have none.
		if near && ops >= 2000 && pages.Load() == 0 && !t.Failed() {
			t.Error("no page was kept")
		}
	}()
	checkOps(t, ops, func(t *rapid.T) int {
		size := 0
		if largest > 0 {
			size = rapid.SampledFrom([]int{0, 0, 0, 0, 0, largest / 4, largest / 4, largest}).Draw(t, "sessions")
		}
		limits := storetest.Limits{MaxCandidates: rapid.SampledFrom([]int{0, 300}).Draw(t, "candidates")}
		if size == 0 {
			limits.MaxSessionsPerUser = rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "sessions of a user")
			limits.EvictOldest = rapid.Bool().Draw(t, "evict the oldest")
		}
		client := connect()
		s := openEmpty(t, client, shards, limits)
		if near {
			var stop func()
			s, stop = openNear(t, client, shards, s.clock, limits, rapid.Bool().Draw(t, "by key"))
			defer stop()
		}
		subject := s.subject()
		if near {
			kept := newKeeping(s.Store, true)
			subject.Store = kept
			defer func() { pages.Add(int64(*kept.kept)) }()
		}
		subject.Initial, subject.Limits = size, limits
		return storetest.Property(t, subject)
	})
}

// checkOps checks one until it has done ops operations in all. Cases that a failure leads to do not count.
func checkOps(t *testing.T, ops int, one func(t *rapid.T) int) {
	t.Helper()
	done, failed := 0, false
	for done < ops && !t.Failed() {
		rapid.Check(t, func(t *rapid.T) {
			if done >= ops && !failed {
				return
			}
			before := failed
			failed = true // unless it gets to the end
			n := one(t)
			if failed = before; !failed {
				done += n
			}
		})
	}
	t.Logf("%d operations", done)
}

// subject returns s as the property test takes it.
func (s *testStore) subject() storetest.Subject {
	return storetest.Subject{
		Store: newKeeping(s.Store, false),
		Clock: s.clock,
		Sweep: func(ctx context.Context) error {
			_, err := s.Sweep(ctx)
			return err
		},
		Audit: func(t rapid.TB, live []*session.Stored, swept bool) { s.auditOf(t, live, swept) },
	}
}

// The same with a near cache, whose copies and lists the writers change.
func TestI9_NearSearchWhileOthersWrite(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		s, stop := openNear(t, client, shards, storetest.NewClock(), storetest.Limits{}, rand.IntN(2) == 0)
		defer stop()
		storetest.Churn(t, s.subject(), testdepth.Of(1000, 250))
	})
}

// Searches while writers change other sessions.
func TestI9_SearchWhileOthersWrite(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		s := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		storetest.Churn(t, s.subject(), testdepth.Of(1000, 250))
		if t.Failed() {
			return
		}
		s.audit(t, false)
		s.clock.Advance(2 * time.Minute) // what was under way is cut off now
		s.sweep(t)
		s.audit(t, true)
	})
}
