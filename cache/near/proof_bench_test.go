package near

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// BenchmarkProof reports what it costs a master, in microseconds of its CPU, to
// be asked once for all that proves it: each process asks every bound/4.
func BenchmarkProof(b *testing.B) {
	f := func(name string, connect func(b *testing.B) redis.UniversalClient, shards int) {
		b.Run(name, func(b *testing.B) {
			space, err := keys.NewSpace(keys.DefaultPrefix, shards)
			if err != nil {
				b.Fatal(err)
			}
			client := connect(b)
			n := New(Config{
				Redis: client, Searches: client, Keys: space, MaxBytes: 1 << 20, Bound: time.Second,
				Clock: func() session.Time { return session.TimeOf(time.Now()) }, Logger: slog.New(slog.DiscardHandler),
			})
			if err := n.Watch(b.Context()); err != nil {
				b.Fatal(err)
			}
			usable := make(chan struct{}, 1)
			n.Hook(Hooks{Saw: func(Event) {
				if _, ok := n.Begin(); ok {
					select {
					case usable <- struct{}{}:
					default:
					}
				}
			}})
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- n.Run(ctx) }()
			<-usable
			m := n.tracker.following()[0]
			before := cpuOf(b, m.client)
			asked := 0
			for b.Loop() {
				if err := m.ask(b.Context()); err != nil {
					b.Fatal(err)
				}
				asked++
			}
			b.ReportMetric((cpuOf(b, m.client)-before)*1e6/float64(asked), "redis-µs/proof")
			b.ReportMetric(float64(len(m.never)), "shards")
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
	f("one server", func(b *testing.B) redis.UniversalClient { return redistest.Start(b).Client(b) }, 1)
	f("one of three masters", func(b *testing.B) redis.UniversalClient {
		return redistest.StartCluster(b, redistest.ClusterConfig{}).Client(b)
	}, 32)
}

// cpuOf is how many seconds of CPU time the server has used.
func cpuOf(b *testing.B, rdb *redis.Client) (total float64) {
	b.Helper()
	info, err := rdb.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for _, field := range []string{"used_cpu_sys", "used_cpu_user"} {
		s, err := strconv.ParseFloat(redisinfo.Field(info, field), 64)
		if err != nil {
			b.Fatal(err)
		}
		total += s
	}
	return total
}
