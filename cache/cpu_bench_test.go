package cache

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// redisCPU is how much CPU time the server has used.
func redisCPU(tb testing.TB, rdb *redis.Client) time.Duration {
	tb.Helper()
	info, err := rdb.Info(tb.Context(), "cpu").Result()
	if err != nil {
		tb.Fatal(err)
	}
	total := 0.0
	for line := range strings.Lines(info) {
		for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
			if text, ok := strings.CutPrefix(line, name); ok {
				s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
				if err != nil {
					tb.Fatal(err)
				}
				total += s
			}
		}
	}
	return time.Duration(total * float64(time.Second))
}

// BenchmarkRedisCPUOfSearch shows what a search by user with five sessions
// costs Redis, without the near cache, from 64 callers: as Store.Search sends
// it, and as ZREVRANGE and five HGET, raw, each search one pipeline on a
// connection of its caller's own. They run by turns.
func BenchmarkRedisCPUOfSearch(b *testing.B) {
	const users, callers, round = 1990, 64, 20_000
	rdb := redistest.Start(b, "hash-max-listpack-value 4096").Client(b, func(o *redis.Options) { o.PoolSize = callers })
	s, err := Open(b.Context(), Config{Redis: rdb})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, s, 10_000)
	user := func(n int64) string { return fmt.Sprint(163840776835432705 + n%users*1_000_003) }
	ids := make([][]session.ID, users)
	for n := range ids {
		for _, id := range rdb.ZRange(b.Context(), s.keys.User(user(int64(n))), 0, -1).Val() {
			ids[n] = append(ids[n], session.ID(id))
		}
		if len(ids[n]) != 5 {
			b.Fatalf("user %s has %d sessions", user(int64(n)), len(ids[n]))
		}
	}
	since := index.ByCreation(index.Dates{Min: 1, Max: session.Never})
	measure := func(one func(n int64)) float64 {
		var next atomic.Int64
		var wg sync.WaitGroup
		before := redisCPU(b, rdb)
		for range callers {
			wg.Go(func() {
				for n := next.Add(1); n <= round; n = next.Add(1) {
					one(n)
				}
			})
		}
		wg.Wait()
		return float64(redisCPU(b, rdb)-before) / float64(time.Microsecond) / round
	}
	var ratios []float64
	var ours, raw float64
	for b.Loop() {
		o := measure(func(n int64) {
			page, err := s.Search(b.Context(), &index.Query{Predicates: []index.Predicate{index.ByUser(user(n)), since}, Sees: index.Sees{All: true}, Limit: 100})
			if err != nil || page.Total != 5 {
				b.Errorf("%v, %v", page, err)
			}
		})
		r := measure(func(n int64) {
			pipe := rdb.Pipeline()
			pipe.ZRevRange(b.Context(), s.keys.User(user(n)), 0, 4)
			for _, id := range ids[n%users] {
				pipe.HGet(b.Context(), s.keys.Session(id), fieldDoc)
			}
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Error(err)
			}
		})
		ours, raw = ours+o, raw+r
		ratios = append(ratios, o/r)
	}
	n := float64(len(ratios))
	lowest, highest := ratios[0], ratios[0]
	for _, r := range ratios {
		lowest, highest = min(lowest, r), max(highest, r)
	}
	b.ReportMetric(ours/n, "µs/search")
	b.ReportMetric(raw/n, "µs/raw")
	b.ReportMetric(ours/raw, "ratio")
	b.ReportMetric(lowest, "lowest")
	b.ReportMetric(highest, "highest")
}
