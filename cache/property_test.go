package cache_test

import (
	"context"
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// propertyOps is how many operations the property test does at least, unless
// CLOAKROOM_TEST_OPS says otherwise.
const propertyOps = 100_000

func TestI9_StoreAnswersAsTheModel(t *testing.T) {
	ops := propertyOps
	if text := os.Getenv("CLOAKROOM_TEST_OPS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("CLOAKROOM_TEST_OPS=%s: want a number of operations", text)
		}
		ops = n
	}
	eachShards(t, func(t *testing.T, shards int) {
		checkProperty(t, startRedis(t), shards, ops/3, 1200, false)
	})
	t.Run("near", func(t *testing.T) {
		eachShards(t, func(t *testing.T, shards int) {
			checkProperty(t, startRedis(t), shards, ops/6, 1200, true)
		})
	})
}

func TestI9_MiniredisAnswersAsTheModel(t *testing.T) {
	checkProperty(t, startMiniredis(t), 1, 6000, 0, false)
}

// checkProperty runs the property test until it has done ops operations, on
// stores that begin empty or with many sessions, of largest sessions at most.
func checkProperty(t *testing.T, client redis.UniversalClient, shards, ops, largest int, near bool) {
	t.Helper()
	setFlag(t, "rapid.checks", "10") // then looks whether it has done enough
	setFlag(t, "rapid.steps", "150")
	setFlag(t, "rapid.nofailfile", "true") // the seed is enough
	done := 0
	for done < ops && !t.Failed() {
		rapid.Check(t, func(t *rapid.T) {
			size := 0
			if largest > 0 {
				size = rapid.SampledFrom([]int{0, 0, 0, 0, 0, largest / 4, largest / 4, largest}).Draw(t, "sessions")
			}
			limits := storetest.Limits{MaxCandidates: rapid.SampledFrom([]int{0, 300}).Draw(t, "candidates")}
			if size == 0 {
				limits.MaxSessionsPerUser = rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "sessions of a user")
				limits.EvictOldest = rapid.Bool().Draw(t, "evict the oldest")
			}
			s := openEmpty(t, client, shards, limits)
			if near {
				var stop func()
				s, stop = openNear(t, client, shards, s.clock, limits)
				defer stop()
			}
			subject := s.subject()
			subject.Initial, subject.Limits = size, limits
			done += storetest.Property(t, subject)
		})
	}
	t.Logf("%d operations", done)
}

// subject returns s as the property test takes it.
func (s *testStore) subject() storetest.Subject {
	return storetest.Subject{
		Store: s.Store,
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
		s, stop := openNear(t, client, shards, storetest.NewClock(), storetest.Limits{})
		defer stop()
		storetest.Churn(t, s.subject(), 1000)
	})
}

// setFlag sets a flag of the test binary until the end of the test.
func setFlag(t *testing.T, name, value string) {
	t.Helper()
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set(name, before); err != nil {
			t.Error(err)
		}
	})
}

// Searches while writers change other sessions.
func TestI9_SearchWhileOthersWrite(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		s := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		storetest.Churn(t, s.subject(), 1000)
		if t.Failed() {
			return
		}
		s.audit(t, false)
		s.clock.Advance(2 * time.Minute) // what was under way is cut off now
		s.sweep(t)
		s.audit(t, true)
	})
}
