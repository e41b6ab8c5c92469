package cache

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// BenchmarkInvalidation reports what a change of a session costs Redis, in microseconds of
// its CPU, with the reads of the processes that hold it, while so many processes are told: of
// all changes, and of those of sessions that they have read. Each session is held by two.
func BenchmarkInvalidation(b *testing.B) {
	for _, batch := range []int{1, 32} {
		for _, processes := range []int{0, 1, 10, 100} {
			for _, tracking := range []string{"broadcast", "keys"} {
				b.Run(fmt.Sprintf("batch=%d/processes=%d/tracking=%s", batch, processes, tracking), func(b *testing.B) {
					benchmarkInvalidation(b, batch, processes, tracking)
				})
			}
		}
	}
}

func benchmarkInvalidation(b *testing.B, batch, processes int, tracking string) {
	const sessions, holders = 2048, 2
	s, rdb := openBench(b, 1)
	told := push.Tracking{Key: func([]byte) {}, All: func() {}}
	if tracking == "broadcast" {
		told.Prefixes = s.keys.Followed()
	}
	links := dialLinks(b, rdb.Options(), processes, &told)
	sample := sampleSessions(b, sessions)
	all := make([]*session.Session, sessions)
	for i := range all {
		all[i] = sample(i)
		if err := s.Put(b.Context(), all[i], nil); err != nil {
			b.Fatal(err)
		}
	}
	// read has the holders of a batch of sessions read them.
	read := func(first int) {
		for h := range min(holders, processes) {
			var commands []byte
			for i := range batch {
				commands = append(commands, resp.Command("HGET", s.keys.Session(all[first+i].ID), fieldDoc)...)
			}
			link := links[(first/batch*holders+h)%processes]
			if err := link.Ask(b.Context(), commands, batch, func([]byte) {}); err != nil {
				b.Fatal(err)
			}
		}
	}
	for first := 0; first < sessions; first += batch {
		read(first)
	}
	written := 0
	before := redisCPU(b, rdb)
	for b.Loop() {
		first := written % sessions
		pipe := rdb.Pipeline()
		ids := make([]session.ID, batch)
		for i := range ids {
			ids[i] = all[first+i].ID
		}
		old, _, err := readAllFresh(b.Context(), rdb, s.keys, ids)
		if err != nil {
			b.Fatal(err)
		}
		for i := range batch {
			all[first+i].Sequence++
			w := s.newWrite(all[first+i], old[i], nil)
			pipe.EvalSha(b.Context(), putScript.Hash(), w.keys, w.args...)
		}
		if _, err := pipe.Exec(b.Context()); err != nil {
			b.Fatal(err)
		}
		written += batch
		read(first)
	}
	b.ReportMetric((redisCPU(b, rdb)-before).Seconds()*1e6/float64(written), "redis-µs/write")
	b.ReportMetric(0, "ns/op") // of the client, which makes the sessions
}

// BenchmarkWritesBesideProcesses has 32 writers change sessions that two processes hold and read
// again, beside so many processes that are told of changes, which share this machine's processors.
func BenchmarkWritesBesideProcesses(b *testing.B) {
	for _, processes := range []int{2, 100} {
		for _, tracking := range []string{"broadcast", "keys"} {
			b.Run(fmt.Sprintf("processes=%d/tracking=%s", processes, tracking), func(b *testing.B) {
				const writers, each = 32, 64
				s, rdb := openBench(b, 1)
				told := push.Tracking{Key: func([]byte) {}, All: func() {}}
				if tracking == "broadcast" {
					told.Prefixes = s.keys.Followed()
				}
				links := dialLinks(b, rdb.Options(), processes, &told)
				sample := sampleSessions(b, writers*each)
				var next atomic.Int64
				b.SetParallelism(writers / runtime.GOMAXPROCS(0))
				b.RunParallel(func(pb *testing.PB) {
					writer := int(next.Add(1)) - 1
					for i := 0; pb.Next(); i++ {
						n := writer*each + i%each
						made := sample(n)
						old, err := s.GetFresh(b.Context(), made.ID)
						if errors.Is(err, session.ErrNotFound) {
							old, err = nil, nil
						} else if err == nil {
							made.Sequence = old.Sequence + 1
						}
						if err == nil {
							err = s.Put(b.Context(), made, old)
						}
						get := resp.Command("HGET", s.keys.Session(made.ID), fieldDoc)
						for h := range 2 {
							link := links[(n*2+h)%processes]
							err = cmp.Or(err, link.Ask(b.Context(), get, 1, func([]byte) {}))
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// dialLinks makes the links of so many processes, and reads what they are told.
func dialLinks(b *testing.B, to *redis.Options, n int, told *push.Tracking) []*push.Link {
	b.Helper()
	var readers sync.WaitGroup
	b.Cleanup(readers.Wait) // after all have been closed
	links := make([]*push.Link, n)
	for i := range links {
		link, err := push.Dial(b.Context(), to, told)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(link.Close)
		links[i] = link
		readers.Go(func() {
			if _, err := link.Answered(); !errors.Is(err, net.ErrClosed) { // no ping is sent
				b.Error(err)
			}
		})
	}
	return links
}
