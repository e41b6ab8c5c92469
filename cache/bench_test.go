package cache

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// sampleSessions makes n sessions like the sample document: five for each
// user, on two devices, made by one of ten creators, a second apart.
func sampleSessions(tb testing.TB, n int) func(i int) *session.Session {
	doc, err := os.ReadFile("../internal/session/testdata/sample.json")
	if err != nil {
		tb.Fatal(err)
	}
	first := session.TimeOf(time.Now()).Add(-time.Duration(n) * time.Second)
	return func(i int) *session.Session {
		s, err := session.ParseDoc([]byte(strings.TrimSpace(string(doc))))
		if err != nil {
			tb.Fatal(err)
		}
		user := i % (n/5 + 1)
		s.CreationDate = first.Add(time.Duration(i)*time.Second + time.Duration(i*7919%1_000_000)*time.Microsecond)
		s.ID = session.NewID(s.CreationDate)
		s.ChangeDate = s.CreationDate
		s.ExpirationDate = session.TimeOf(time.Now()).Add(30*24*time.Hour + time.Duration(i)*time.Second)
		s.Factors.User.ID = fmt.Sprint(163840776835432705 + user*1_000_003)
		fingerprint := fmt.Sprintf("%032x", uint64(user*2+i/(n/5+1)%2)*0x9e3779b97f4a7c15)
		s.UserAgent.FingerprintID = &fingerprint
		s.Creator = fmt.Sprint(69629026806489455 + i%10)
		_, s.Token = session.NewToken(s.ID)
		return s
	}
}

// fill stores n sample sessions, sixteen at a time.
func fill(tb testing.TB, s *Store, n int) {
	tb.Helper()
	sample := sampleSessions(tb, n)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := worker; i < n; i += 16 {
				if err := s.Put(context.Background(), sample(i), nil); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
}

func openBench(b *testing.B, shards int, conf ...string) (*Store, *redis.Client) {
	b.Helper()
	rdb := redistest.Start(b, conf...).Client(b)
	s, err := Open(b.Context(), Config{Redis: rdb, Shards: shards})
	if err != nil {
		b.Fatal(err)
	}
	return s, rdb
}

// BenchmarkMemoryPerSession reports the bytes of Redis memory that a sample
// session takes, in all and by key family: of 100,000, or of as many as
// CLOAKROOM_BENCH_SESSIONS says.
func BenchmarkMemoryPerSession(b *testing.B) {
	sessions := 100_000
	if text := os.Getenv("CLOAKROOM_BENCH_SESSIONS"); text != "" {
		var err error
		if sessions, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for _, conf := range [][]string{{"hash-max-listpack-value 64"}, {"hash-max-listpack-value 4096"}} {
		b.Run(conf[0], func(b *testing.B) {
			for b.Loop() {
				s, rdb := openBench(b, 1, conf...)
				before := usedMemory(b, rdb)
				fill(b, s, sessions)
				b.ReportMetric(float64(usedMemory(b, rdb)-before)/float64(sessions), "B/session")
				for family, bytes := range memoryByFamily(b, rdb) {
					b.ReportMetric(float64(bytes)/float64(sessions), "B/"+family)
				}
			}
		})
	}
}

func usedMemory(b *testing.B, rdb *redis.Client) (bytes int64) {
	b.Helper()
	info, err := rdb.InfoMap(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(info["Memory"]["used_memory"], &bytes); err != nil {
		b.Fatal(err)
	}
	return bytes
}

// memoryByFamily sums MEMORY USAGE, which leaves out the key space's own table.
func memoryByFamily(b *testing.B, rdb *redis.Client) map[string]int64 {
	b.Helper()
	sum := map[string]int64{}
	var cursor uint64
	for {
		keys, next, err := rdb.Scan(b.Context(), cursor, "*", 1000).Result()
		if err != nil {
			b.Fatal(err)
		}
		pipe := rdb.Pipeline()
		sizes := make([]*redis.IntCmd, len(keys))
		for i, key := range keys {
			sizes[i] = pipe.MemoryUsage(b.Context(), key, 0)
		}
		if len(keys) > 0 {
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		for i, key := range keys {
			sum[key[:4]] += sizes[i].Val()
		}
		if cursor = next; cursor == 0 {
			return sum
		}
	}
}

// BenchmarkSearch measures searches of 20,000 sessions, from one caller.
func BenchmarkSearch(b *testing.B) {
	const sessions = 20_000
	all := index.Sees{All: true}
	for _, shards := range []int{1, 4} {
		s, _ := openBench(b, shards)
		fill(b, s, sessions)
		sample := sampleSessions(b, sessions)
		one := sample(7)
		week := index.ByCreation(index.Dates{Min: s.Now().Add(-7 * 24 * time.Hour), Max: session.Never})
		for _, bench := range []struct {
			name string
			want int
			q    index.Query
		}{
			{"user-and-creation", 5, index.Query{Sees: all, Limit: 1000, Predicates: []index.Predicate{index.ByUser(one.Factors.User.ID), week}}},
			{"agent", 0, index.Query{Sees: all, Limit: 1000, Predicates: []index.Predicate{index.ByAgent(*one.UserAgent.FingerprintID)}}},
			{"own", 5, index.Query{Sees: index.Sees{UserID: one.Factors.User.ID}, Limit: 1000}},
			{"creation-page-of-20", 20, index.Query{Sees: all, Limit: 20, Predicates: []index.Predicate{week}}},
			{"creation-page-of-20-at-10000", 20, index.Query{Sees: all, Limit: 20, Offset: 10_000, Predicates: []index.Predicate{week}}},
			{"page-of-1000", 1000, index.Query{Sees: all, Limit: 1000}},
			{"costly", 20, index.Query{Sees: all, Limit: 20, Predicates: []index.Predicate{ // of 2,000 candidates
				index.ByCreator(one.Creator), index.ByExpiration(index.Dates{Min: sample(sessions / 2).ExpirationDate, Max: session.Never}),
			}}},
		} {
			b.Run(fmt.Sprintf("P=%d/%s", shards, bench.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					page, err := s.Search(b.Context(), &bench.q)
					if err != nil {
						b.Fatal(err)
					}
					if len(page.Sessions) == 0 || (bench.want > 0 && len(page.Sessions) != bench.want) {
						b.Fatalf("%d sessions, want %d", len(page.Sessions), bench.want)
					}
				}
			})
		}
	}
}

// BenchmarkClusterPage measures pages of everything on a Cluster of three masters, from
// one caller and from eight.
func BenchmarkClusterPage(b *testing.B) {
	s, err := Open(b.Context(), Config{Redis: redistest.StartCluster(b, redistest.ClusterConfig{}).Client(b), Shards: 32})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, s, 4000)
	for _, limit := range []int{20, 100, 1000} {
		search := func(b *testing.B) {
			b.Helper()
			page, err := s.Search(b.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: limit})
			if err != nil || len(page.Sessions) != limit || page.Total != 4000 {
				b.Errorf("%+v, %v", page, err)
			}
		}
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				search(b)
			}
		})
		b.Run(fmt.Sprintf("limit=%d/callers=8", limit), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(max(1, 8/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					search(b)
				}
			})
		})
	}
}

// BenchmarkGet measures Get and GetByToken, from one caller.
func BenchmarkGet(b *testing.B) {
	s, _ := openBench(b, 1)
	one := sampleSessions(b, 1)(0)
	token, hash := session.NewToken(one.ID)
	one.Token = hash
	if err := s.Put(b.Context(), one, nil); err != nil {
		b.Fatal(err)
	}
	b.Run("id", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Get(b.Context(), one.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.GetByToken(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPut measures the storing of new sessions, from one caller.
func BenchmarkPut(b *testing.B) {
	for _, shards := range []int{1, 4} {
		b.Run(fmt.Sprintf("P=%d", shards), func(b *testing.B) {
			s, _ := openBench(b, shards)
			sample := sampleSessions(b, 1_000_000)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := s.Put(b.Context(), sample(i), nil); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// BenchmarkPutOfUser measures the storing of new sessions, from one caller: where
// a user may have any number, where nobody has as many as allowed, and where
// each further one evicts the oldest of five.
func BenchmarkPutOfUser(b *testing.B) {
	for _, shards := range []int{1, 4} {
		for _, c := range []struct {
			name        string
			most, users int
		}{{"no-limit", 0, 1_000_000}, {"below-the-limit", 5, 1_000_000}, {"at-the-limit", 5, 1}} {
			b.Run(fmt.Sprintf("P=%d/%s", shards, c.name), func(b *testing.B) {
				rdb := redistest.Start(b).Client(b)
				s, err := Open(b.Context(), Config{
					Redis: rdb, Shards: shards, MaxSessionsPerUser: c.most, EvictOldest: true, Logger: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					b.Fatal(err)
				}
				sample := sampleSessions(b, 1_000_000)
				b.ReportAllocs()
				before, i := redisCPU(b, rdb), 0
				for b.Loop() {
					next := sample(i)
					next.Factors.User.ID = fmt.Sprint(163840776835432705 + i%c.users)
					if err := s.Put(b.Context(), next, nil); err != nil {
						b.Fatal(err)
					}
					i++
				}
				b.ReportMetric(float64((redisCPU(b, rdb)-before).Microseconds())/float64(i), "redis-µs/op")
			})
		}
	}
}
