package batch_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// sent counts what a client's innermost hook sees, but for what a new connection needs.
type sent struct{ n *atomic.Int64 }

func (s sent) see(cmd redis.Cmder) {
	switch cmd.Name() {
	case "hello", "client", "readonly", "command": // the last is of the client itself
	default:
		s.n.Add(1)
	}
}

func (sent) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (s sent) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.see(cmd)
		return next(ctx, cmd)
	}
}

func (s sent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		s.see(cmds[0])
		return next(ctx, cmds)
	}
}

// Round trips of a client, by reads and by batches count once each, however many hooks
// there are, and those of another context do not.
func TestCountTrips_OfAClient(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	batch.CountTripsOf(rdb)
	batch.CountTripsOf(rdb)
	reads, batcher := newReads(t, rdb, batch.Config{}), open(t, rdb, batch.Config{})
	want := func(want int64, do func(ctx context.Context) error) {
		t.Helper()
		ctx, trips := batch.CountTrips(t.Context())
		defer trips.End()
		other, others := batch.CountTrips(t.Context())
		defer others.End()
		if err := do(ctx); err != nil {
			t.Fatal(err)
		}
		if got := trips.N(); got != want || others.N() != 0 {
			t.Errorf("%d trips, want %d, and %d of another", got, want, others.N())
		}
		if err := rdb.Ping(other).Err(); err != nil || trips.N() != want {
			t.Errorf("%d trips after another's, %v", trips.N(), err)
		}
	}
	want(0, func(context.Context) error { return rdb.Ping(t.Context()).Err() })
	want(1, func(ctx context.Context) error { return rdb.Ping(ctx).Err() }) // its connection may be a new one
	want(2, func(ctx context.Context) error {
		for _, pipe := range []redis.Pipeliner{rdb.Pipeline(), rdb.TxPipeline()} {
			pipe.Get(ctx, "a")
			pipe.Get(ctx, "b")
			if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
				return err
			}
		}
		return nil
	})
	want(2, func(ctx context.Context) error {
		for range 2 {
			if _, err := getAll(ctx, reads, "a", "b", "c"); err != nil {
				return err
			}
		}
		return nil
	})
	want(1, func(ctx context.Context) error {
		return batcher.Do(ctx, redis.NewStringCmd(ctx, "get", "a"), redis.NewStringCmd(ctx, "get", "b"))
	})
}

// A round trip that callers share counts once for each of them; none is lost.
func TestCountTrips_OfManyCallers(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	batch.CountTripsOf(rdb)
	reads, batcher := newReads(t, rdb, batch.Config{}), open(t, rdb, batch.Config{})
	var callers errgroup.Group
	for i := range 50 {
		callers.Go(func() error {
			ctx, trips := batch.CountTrips(t.Context())
			defer trips.End()
			for n := range int64(10) {
				var err error
				if i%2 == 0 {
					_, err = getAll(ctx, reads, "a")
				} else {
					err = batcher.Do(ctx, redis.NewStringCmd(ctx, "get", "a"))
				}
				if err != nil {
					return err
				}
				if trips.N() != n+1 {
					return fmt.Errorf("%d trips, want %d", trips.N(), n+1)
				}
			}
			return nil
		})
	}
	if err := callers.Wait(); err != nil {
		t.Fatal(err)
	}
	if s := reads.Stats(); s.Trips == s.Calls {
		t.Error("no trip was shared: this shows less than it should")
	}
}

// On a Cluster each master that is asked counts.
func TestCountTrips_OfACluster(t *testing.T) {
	t.Parallel()
	rdb := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	seen := sent{new(atomic.Int64)}
	batch.CountTripsOf(rdb)
	reads, cluster := batch.NewClusterReads(rdb, batch.Config{Timeout: long}), batch.NewCluster(rdb, batch.Config{Timeout: long})
	t.Cleanup(reads.Close)
	t.Cleanup(cluster.Close)
	rdb.OnNewNode(func(node *redis.Client) { node.AddHook(seen) })
	if err := rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error { return node.Ping(ctx).Err() }); err != nil {
		t.Fatal(err)
	}
	all := make([]string, 50)
	for i := range all {
		all[i] = fmt.Sprint("key", i)
	}
	for what, do := range map[string]func(ctx context.Context, keys []string) error{
		"reads": func(ctx context.Context, keys []string) error { _, err := getAll(ctx, reads, keys...); return err },
		"batches": func(ctx context.Context, keys []string) error {
			var cmds []redis.Cmder
			for _, key := range keys {
				cmds = append(cmds, redis.NewStringCmd(ctx, "get", key))
			}
			return cluster.Do(ctx, cmds...)
		},
		"pipelines": func(ctx context.Context, keys []string) error {
			pipe := rdb.Pipeline()
			for _, key := range keys {
				pipe.Get(ctx, key)
			}
			if _, err := pipe.Exec(ctx); err != redis.Nil {
				return err
			}
			return nil
		},
		"commands": func(ctx context.Context, keys []string) error {
			for _, key := range keys {
				if err := rdb.Get(ctx, key).Err(); err != redis.Nil {
					return err
				}
			}
			return nil
		},
	} {
		for _, keys := range [][]string{all[:1], all} {
			ctx, trips := batch.CountTrips(t.Context())
			before := seen.n.Load()
			if err := do(ctx, keys); err != nil {
				t.Fatal(what, err)
			}
			want := int64(3) // masters
			if len(keys) == 1 {
				want = 1
			}
			if what == "commands" {
				want = int64(len(keys))
			}
			if sent := seen.n.Load() - before; trips.N() != sent || sent != want {
				t.Errorf("%s of %d keys: %d trips, of which %d were seen; want %d", what, len(keys), trips.N(), sent, want)
			}
			trips.End()
		}
	}
}
