package cache

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// BenchmarkProof reports what it costs a master, in microseconds of its CPU, to
// be asked once for all that proves it: each process asks every bound/4.
func BenchmarkProof(b *testing.B) {
	f := func(name string, connect func(b *testing.B) redis.UniversalClient, shards int) {
		b.Run(name, func(b *testing.B) {
			s, err := Open(b.Context(), Config{Redis: connect(b), Shards: shards, NearBytes: 1 << 20})
			if err != nil {
				b.Fatal(err)
			}
			stop, err := s.StartNear()
			if err != nil {
				b.Fatal(err)
			}
			m := s.near.tracker.following()[0]
			before := redisCPU(b, m.client)
			asked := 0
			for b.Loop() {
				if err := m.ask(b.Context()); err != nil {
					b.Fatal(err)
				}
				asked++
			}
			b.ReportMetric((redisCPU(b, m.client)-before).Seconds()*1e6/float64(asked), "redis-µs/proof")
			b.ReportMetric(float64(len(m.never)), "shards")
			if err := stop(); err != nil {
				b.Error(err)
			}
		})
	}
	f("one server", func(b *testing.B) redis.UniversalClient { return redistest.Start(b).Client(b) }, 1)
	f("one of three masters", func(b *testing.B) redis.UniversalClient {
		return redistest.StartCluster(b, redistest.ClusterConfig{}).Client(b)
	}, 32)
}
