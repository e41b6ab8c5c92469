package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// nearBench is a store whose near cache runs, with the sample session of 1,000
// users, five each.
func nearBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), Config{Redis: redistest.Start(b).Client(b), NearBytes: 64 << 20, NearStaleness: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 5000 {
		made := sessionOf(fmt.Sprintf("18826%014d", i), fmt.Sprintf("2184808%011d", i/5), 1)
		made.CreationDate += session.Time(i)
		if err := s.Put(b.Context(), made, nil); err != nil {
			b.Fatal(err)
		}
	}
	stop, err := s.StartNear()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := stop(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func BenchmarkNearGet(b *testing.B) {
	s := nearBench(b)
	ids := make([]session.ID, 5000)
	for i := range ids {
		ids[i] = session.ID(fmt.Sprintf("18826%014d", i))
		if _, err := s.Get(b.Context(), ids[i]); err != nil {
			b.Fatal(err)
		}
	}
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := s.Get(ctx, ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkNearSearch(b *testing.B) {
	s := nearBench(b)
	queries := make([]*index.Query, 1000)
	for i := range queries {
		queries[i] = &index.Query{
			Predicates: []index.Predicate{
				index.ByUser(fmt.Sprintf("2184808%011d", i)),
				index.ByCreation(index.Compare(index.Greater, time.UnixMicro(1_600_000_000_000_000))),
			},
			Sees: index.Sees{All: true}, Limit: 1000,
		}
		if page, err := s.Search(b.Context(), queries[i]); err != nil || page.Total != 5 {
			b.Fatal(page, err)
		}
	}
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		page, err := s.Search(ctx, queries[i%len(queries)])
		if err != nil || len(page.Sessions) != 5 {
			b.Fatal(page, err)
		}
		i++
	}
}

// BenchmarkNearLoad reads sessions that no copy is held of, from 64 callers, where Redis tells of all
// changes and where it tracks keys; "large" are almost as large as --max-session-bytes lets them be.
func BenchmarkNearLoad(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"usual", 0}, {"large", 15 << 10}} {
		for _, byKey := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/by key=%v", size.name, byKey), func(b *testing.B) {
				s, err := Open(b.Context(), Config{Redis: redistest.Start(b).Client(b), NearBytes: 8 << 10, NearStaleness: time.Second, NearByKey: byKey})
				if err != nil {
					b.Fatal(err)
				}
				const sessions = 100
				ids := make([]session.ID, sessions)
				noise := rand.NewChaCha8([32]byte{})
				for i := range ids {
					made := sessionOf(fmt.Sprintf("18826%014d", i), "u", 1)
					made.Metadata["large"] = make([]byte, size.bytes*3/4) // base64 in the document
					_, _ = noise.Read(made.Metadata["large"])
					if ids[i] = made.ID; s.Put(b.Context(), made, nil) != nil {
						b.Fatal("a session was not stored")
					}
				}
				stop, err := s.StartNear()
				if err != nil {
					b.Fatal(err)
				}
				var next atomic.Int64
				var worst atomic.Int64
				b.SetParallelism(64 / runtime.GOMAXPROCS(0))
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						n := next.Add(1)
						if _, err := s.Get(b.Context(), ids[n*7919%sessions]); err != nil {
							b.Error(err)
							return
						}
						if n%64 == 0 {
							worst.Store(max(worst.Load(), int64(s.NearStats().Lag)))
						}
					}
				})
				b.StopTimer()
				b.ReportMetric(float64(worst.Load())/1e6, "worst-lag-ms")
				if err := stop(); err != nil {
					b.Error(err)
				}
			})
		}
	}
}
