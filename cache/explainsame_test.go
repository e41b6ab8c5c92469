package cache_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// explaining answers each search and explains it, and compares the two.
type explaining struct {
	*cache.Store
	trips *cache.TripCount // nil where more is sent than searches send
}

// Search implements storetest.Store.
func (x explaining) Search(ctx context.Context, q *index.Query) (*index.Page, error) {
	want, wantErr := x.Store.Search(ctx, q)
	before := x.trips.Load()
	got, e, err := x.Explain(ctx, q, nil)
	sent := x.trips.Load() - before
	switch {
	case fmt.Sprint(err) != fmt.Sprint(wantErr):
		return nil, fmt.Errorf("explained, %+v fails with %w, want %w", q, err, wantErr)
	case err == nil && (got.Total != want.Total || got.More != want.More || got.At != want.At || !slices.EqualFunc(got.Sessions, want.Sessions, sameSession)):
		return nil, fmt.Errorf("explained, %+v is %+v, want %+v", q, got, want)
	case err == nil && (e.Candidates < int64(got.Total) || e.Candidates < e.Examined || e.Examined < int64(len(got.Sessions)) || e.Copies+e.Redis < int(e.Examined)):
		return nil, fmt.Errorf("%+v found %d of %d: %+v", q, len(got.Sessions), got.Total, e)
	case x.trips != nil && e.RoundTrips != sent:
		return nil, fmt.Errorf("%+v took %d round trips: %+v", q, sent, e)
	}
	return got, err
}

// An explained search answers as the same search does without explanation, counts no fewer
// candidates than there are matches, and as many round trips as were made.
func TestExplain_AnswersAsSearch(t *testing.T) {
	t.Parallel()
	check := func(ops int, connect func() redis.UniversalClient, shards int, near bool) {
		checkOps(t, ops, func(t *rapid.T) int {
			flush(t, connect())
			client := connect() // that nothing has been sent with
			trips := cache.CountTrips(client)
			limits := storetest.Limits{MaxCandidates: rapid.SampledFrom([]int{0, 300}).Draw(t, "candidates")}
			s := open(t, client, shards, storetest.NewClock(), limits)
			explains := explaining{s.Store, trips}
			if near {
				var stop func()
				s, stop = openNear(t, client, shards, s.clock, limits, rapid.Bool().Draw(t, "by key"))
				defer stop()
				explains = explaining{s.Store, nil}
			}
			subject := s.subject()
			subject.Store, subject.Limits, subject.Initial = explains, limits, rapid.SampledFrom([]int{0, 0, 400}).Draw(t, "sessions")
			return storetest.Property(t, subject)
		})
	}
	server := redistest.Start(t)
	for _, shards := range []int{1, 4} {
		for _, near := range []bool{false, true} {
			check(testdepth.Of(3000, 300), func() redis.UniversalClient { return socketClient(t, server) }, shards, near)
		}
	}
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	check(testdepth.Of(1000, 150), func() redis.UniversalClient { return cluster.Client(t) }, clusterShards, false)
}
