package cache

import (
	"context"
	"fmt"
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
