package index_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// Sessions that end on, just before and just after each bound, at the instant itself, in the past, later and never are counted
// as looking at each of them counts them. One round trip asks Redis for nothing but ZCOUNT. (I1, I10)
func TestI10_ExpiriesCountEverySessionOnce(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			checkExpiries(t, server.Client(t), shards)
		})
	}
}

func TestI10_ExpiriesOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	client := cluster.Client(t)
	store := checkExpiries(t, client, 32)
	cluster.NeverFailOver()
	cluster.Masters()[0].Stop()
	if e, err := store.Expiries(t.Context()); err == nil { // I2
		t.Errorf("a master is away: got %+v, want an error", e)
	}
}

func checkExpiries(t *testing.T, client redis.UniversalClient, shards int) *cache.Store {
	t.Helper()
	clock := storetest.ClockAt(4_000_000_000_000_000) // in 2096, of which this machine's clock knows nothing
	trips := &tripCounter{}
	store, err := cache.Open(t.Context(), cache.Config{Redis: client, Shards: shards, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	begin := clock.Now()
	dates := []session.Time{session.Never, session.Never, session.MaxScore - 1, begin.Add(time.Hour * 24 * 400)}
	for _, bound := range append(index.ExpiryBounds(), 0, 2*time.Second) {
		for by := session.Time(-1); by <= 1; by++ {
			dates = append(dates, begin.Add(10*time.Second+bound)+by)
		}
	}
	for range 60 {
		dates = append(dates, begin.Add(time.Duration(rand.Int64N(int64(40*24*time.Hour)))))
	}
	for i, date := range dates {
		if err := store.Put(t.Context(), storetest.New(session.ID(fmt.Sprint("s", i)), begin, storetest.Expires(date)), nil); err != nil {
			t.Fatal(err)
		}
	}
	client.AddHook(trips)
	for _, passed := range []time.Duration{10 * time.Second, time.Minute, 3 * time.Hour} {
		clock.Advance(passed)
		now := clock.Now()
		want := index.Expiries{At: now}
		for _, date := range dates {
			switch {
			case date == session.Never:
				want.Never++
			case date > now:
				i := 0
				for i < len(index.ExpiryBounds()) && date > now.Add(index.ExpiryBounds()[i]) {
					i++
				}
				want.Within[i]++
			}
		}
		*trips = tripCounter{}
		got, err := store.Expiries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if *got != want {
			t.Errorf("after %v: got %+v, want %+v", passed, *got, want)
		}
		total := int64(0)
		for _, n := range append(want.Within[:], want.Never) {
			total += n
		}
		if got.Live() != total {
			t.Errorf("after %v: %d live, want %d", passed, got.Live(), total)
		}
		if trips.others > 0 || trips.pipelines != 1 {
			t.Errorf("after %v: %d pipelines of ZCOUNT and %d other commands, want one pipeline", passed, trips.pipelines, trips.others)
		}
	}
	return store
}

// tripCounter is a hook that counts pipelines of nothing but ZCOUNT, and commands that are none of these. On a Cluster the client
// divides a pipeline among the masters.
type tripCounter struct{ pipelines, others int }

func (c *tripCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *tripCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.others++
		return next(ctx, cmd)
	}
}

func (c *tripCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.pipelines++
		for _, cmd := range cmds {
			if cmd.Name() != "zcount" {
				c.others++
			}
		}
		return next(ctx, cmds)
	}
}
