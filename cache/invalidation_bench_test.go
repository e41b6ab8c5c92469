package cache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// BenchmarkInvalidation reports what a write costs Redis, in microseconds of
// its CPU, while processes are told of every session and user list that
// changes: writes one by one, and 32 in a pipeline.
func BenchmarkInvalidation(b *testing.B) {
	for _, batch := range []int{1, 32} {
		for _, processes := range []int{0, 1, 10, 100} {
			b.Run(fmt.Sprintf("batch=%d/processes=%d", batch, processes), func(b *testing.B) {
				s, rdb := openBench(b, 1)
				trackWith(b, rdb.Options(), processes)
				sample := sampleSessions(b, 1_000_000)
				written := 0
				before := redisCPU(b, rdb)
				for b.Loop() {
					pipe := rdb.Pipeline()
					for range batch {
						w := s.newWrite(sample(written), nil, nil)
						pipe.EvalSha(b.Context(), putScript.Hash(), w.keys, w.args...)
						written++
					}
					if _, err := pipe.Exec(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric((redisCPU(b, rdb)-before).Seconds()*1e6/float64(written), "redis-µs/write")
				b.ReportMetric(0, "ns/op") // of the client, which makes the sessions
			})
		}
	}
}

// trackWith opens connections that ask for invalidations as the near cache of
// as many processes does, and reads what they are told.
func trackWith(b *testing.B, to *redis.Options, connections int) {
	b.Helper()
	var readers sync.WaitGroup
	b.Cleanup(readers.Wait) // after all have been closed
	for range connections {
		conn, err := net.Dial(to.Network, to.Addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX cr:s: PREFIX cr:u:\r\n"); err != nil {
			b.Fatal(err)
		}
		replies := bufio.NewReader(conn)
		for line := ""; line != "+OK\r\n"; { // HELLO's reply is a map without one
			if line, err = replies.ReadString('\n'); err != nil || strings.HasPrefix(line, "-") {
				b.Fatalf("%q, %v", line, err)
			}
		}
		readers.Go(func() { _, _ = io.Copy(io.Discard, replies) })
	}
}
