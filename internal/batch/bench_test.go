package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// The ways to Redis that are compared. Each runs cmds in one step.
type way struct {
	name string
	open func(b *testing.B, c *redis.Client) func(ctx context.Context, cmds ...redis.Cmder) error
}

var ways = []way{
	{"plain", func(_ *testing.B, c *redis.Client) func(context.Context, ...redis.Cmder) error {
		return func(ctx context.Context, cmds ...redis.Cmder) error {
			if len(cmds) == 1 {
				return c.Process(ctx, cmds[0])
			}
			pipe := c.Pipeline()
			if err := pipe.BatchProcess(ctx, cmds...); err != nil {
				return err
			}
			_, err := pipe.Exec(ctx)
			return err
		}
	}},
	{"batch1", batched(1)},
	{"batch2", batched(2)},
	{"batch4", batched(4)},
	{"hurried2", func(b *testing.B, c *redis.Client) func(context.Context, ...redis.Cmder) error {
		batcher := batch.New(c, batch.Config{Timeout: 2 * time.Second}) // beyond the callers' deadlines: none makes its own trip
		b.Cleanup(batcher.Close)
		return batcher.Do
	}},
	{"async1", async(1)},
	{"async4", async(4)},
}

func batched(inFlight int) func(*testing.B, *redis.Client) func(context.Context, ...redis.Cmder) error {
	return func(b *testing.B, c *redis.Client) func(context.Context, ...redis.Cmder) error {
		batcher := batch.New(c, batch.Config{MaxInFlight: inFlight})
		b.Cleanup(batcher.Close)
		return batcher.Do
	}
}

// async is go-redis' own auto-pipeliner.
func async(inFlight int) func(*testing.B, *redis.Client) func(context.Context, ...redis.Cmder) error {
	return func(b *testing.B, c *redis.Client) func(context.Context, ...redis.Cmder) error {
		ap, err := c.AsyncAutoPipelineWithOptions(&redis.AutoPipelineOptions{
			MaxConcurrentBatches: inFlight, Unordered: inFlight > 1, MaxQueuedCommands: 4096,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = ap.Close() })
		return func(ctx context.Context, cmds ...redis.Cmder) error {
			var futures [8]redis.AutoFuture
			for i, cmd := range cmds {
				futures[i] = ap.Submit(ctx, cmd)
			}
			var errs error
			for i := range cmds {
				if err := futures[i].WaitContext(ctx); err != nil {
					errs = err
				}
			}
			return errs
		}
	}
}

const (
	benchUsers    = 1000
	benchSessions = 5 // of a user
)

func benchKey(user, session int) string { return fmt.Sprintf("cr:s:{}:%d-%d", user, session) }

// Get is one HGET of 300 bytes; far is a link that takes a millisecond.
func BenchmarkGet(b *testing.B) {
	keys := make([]string, benchUsers)
	for i := range keys {
		keys[i] = benchKey(i, 0)
	}
	b.Run("near", func(b *testing.B) { compare(b, 0, getOf(keys)) })
	b.Run("far", func(b *testing.B) { compare(b, time.Millisecond, getOf(keys)) })
}

// operation is what one caller does, the n-th of all.
type operation func(ctx context.Context, do func(context.Context, ...redis.Cmder) error, n int) error

func getOf(keys []string) operation {
	return func(ctx context.Context, do func(context.Context, ...redis.Cmder) error, n int) error {
		cmd := redis.NewStringCmd(ctx, "hget", keys[n%benchUsers], "doc")
		if err := do(ctx, cmd); err != nil {
			return err
		}
		if len(cmd.Val()) != 300 {
			return errors.New("a wrong reply")
		}
		return nil
	}
}

// Search is a list of five, then their documents.
func BenchmarkSearch(b *testing.B) {
	lists := make([]string, benchUsers)
	for i := range lists {
		lists[i] = "cr:u:{}:" + strconv.Itoa(i)
	}
	compare(b, 0, func(ctx context.Context, do func(context.Context, ...redis.Cmder) error, n int) error {
		list := redis.NewStringSliceCmd(ctx, "zrange", lists[n%benchUsers], "0", "249")
		if err := do(ctx, list); err != nil {
			return err
		}
		var docs [benchSessions]*redis.StringCmd
		var cmds [benchSessions]redis.Cmder
		if len(list.Val()) != len(cmds) {
			return errors.New("a wrong list")
		}
		for i, id := range list.Val() {
			docs[i] = redis.NewStringCmd(ctx, "hget", id, "doc")
			cmds[i] = docs[i]
		}
		if err := do(ctx, cmds[:]...); err != nil {
			return err
		}
		for _, doc := range docs {
			if len(doc.Val()) != 300 {
				return errors.New("a wrong reply")
			}
		}
		return nil
	})
}

func compare(b *testing.B, delay time.Duration, op operation) {
	s := redistest.Start(b)
	addr, ways := s.Addr, ways
	if delay > 0 {
		p := redistest.NewProxy(b, s.Addr)
		p.Delay(delay)
		addr, ways = p.Addr, append(slices.Clone(ways), way{"batch8", batched(8)})
	}
	fill := s.Client(b).Pipeline()
	for user := range benchUsers {
		for session := range benchSessions {
			key := benchKey(user, session)
			fill.HSet(b.Context(), key, "doc", strings.Repeat("d", 300))
			fill.ZAdd(b.Context(), "cr:u:{}:"+strconv.Itoa(user), redis.Z{Score: float64(session), Member: key})
		}
	}
	if _, err := fill.Exec(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, callers := range []int{1, 8, 64, 512} {
		for _, w := range ways {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, w.name), func(b *testing.B) {
				c := s.Client(b, func(o *redis.Options) { // as cmd/cloakroom sets them with two cores
					o.Addr = addr
					o.PoolSize, o.MaxActiveConns, o.PipelinePoolSize = 20, 20, 0
					o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = time.Second, time.Second, time.Second
				})
				do := w.open(b, c)
				b.ReportAllocs()
				redisBefore, ownBefore := redisCPU(b, c), ownCPU(b)
				b.ResetTimer()
				var next atomic.Int64
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							ctx, cancel := context.WithTimeout(context.Background(), time.Second)
							err := op(ctx, do, int(n))
							cancel()
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				ops := float64(b.N)
				b.ReportMetric(ops/b.Elapsed().Seconds(), "ops/s")
				b.ReportMetric((redisCPU(b, c)-redisBefore)*1e6/ops, "redis-µs/op")
				b.ReportMetric((ownCPU(b)-ownBefore)*1e6/ops, "own-µs/op")
			})
		}
	}
}

// redisCPU returns the seconds of CPU that Redis has used.
func redisCPU(b *testing.B, c *redis.Client) float64 {
	b.Helper()
	info := c.InfoMap(b.Context(), "cpu")
	if err := info.Err(); err != nil {
		b.Fatal(err)
	}
	var sum float64
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, err := strconv.ParseFloat(info.Item("CPU", name), 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += seconds
	}
	return sum
}

// ownCPU returns the seconds of CPU that this process has used.
func ownCPU(b *testing.B) float64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
