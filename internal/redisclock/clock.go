package redisclock

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Every is how often the servers' clocks should be measured.
const Every = time.Second

// clock tells Redis' time by an offset from this process' monotonic clock, so
// that neither a wrong wall clock nor a step of it matters. (I1)
type clock struct {
	start  time.Time    // its monotonic reading counts
	offset atomic.Int64 // Redis' µs minus those since start
	error  atomic.Int64 // how far the offset may be off, in µs
}

// measure asks Redis for its time. The answer belongs to some moment of the
// round trip, so it bounds the offset from both sides. An offset within the
// bounds stays unless the new one is better known; one outside is wrong: the
// clocks drift, or one was set. It is called from one goroutine at a time.
func (c *clock) measure(ctx context.Context, rdb redis.UniversalClient) error {
	sent := time.Since(c.start).Microseconds()
	t, err := rdb.Time(ctx).Result()
	received := time.Since(c.start).Microseconds()
	if err != nil {
		return err
	}
	server := t.UnixMicro()
	low, high := server-received, server-sent
	have := c.offset.Load()
	if width := (high - low + 1) / 2; have < low || have > high || width < c.error.Load() {
		c.offset.Store((low + high) / 2)
		c.error.Store(width)
	}
	return nil
}
