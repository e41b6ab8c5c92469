package redisclock

import (
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// now is the time by this clock alone.
func (c *clock) now() session.Time {
	return session.Time(c.offset.Load() + time.Since(c.start).Microseconds())
}

// TestI1_ClockIsRedisTime checks that the clock is between two readings of
// Redis' own, give or take the error that it admits.
func TestI1_ClockIsRedisTime(t *testing.T) {
	server := redistest.Start(t)
	rdb := server.Client(t)
	c := &clock{start: time.Now()}
	check := func() {
		t.Helper()
		before := redisTime(t, rdb)
		now := int64(c.now())
		after := redisTime(t, rdb)
		if admitted := c.error.Load() + 1; now < before-admitted || now > after+admitted {
			t.Errorf("the clock says %d, Redis said %d before and %d after; admitted error %d µs", now, before, after, admitted)
		}
	}
	measure := func(rdb redis.UniversalClient) {
		t.Helper()
		if err := c.measure(t.Context(), rdb); err != nil {
			t.Fatal(err)
		}
	}
	measure(rdb)
	check()

	// An offset that the server contradicts is given up, however well known it
	// was held to be: the server's clock was set.
	for _, wrong := range []time.Duration{time.Hour, -time.Hour, 5 * time.Second} {
		c.offset.Add(wrong.Microseconds())
		c.error.Store(1)
		measure(rdb)
		check()
	}

	// A slow round trip bounds the offset less well, and changes nothing.
	measure(rdb)
	offset, known := c.offset.Load(), c.error.Load()
	proxy := redistest.NewProxy(t, server.Addr)
	proxy.Delay(50 * time.Millisecond)
	slow := redis.NewClient(&redis.Options{Addr: proxy.Addr})
	defer func() { _ = slow.Close() }()
	measure(slow)
	if c.offset.Load() != offset || c.error.Load() != known {
		t.Errorf("a slow measurement changed the offset from %d±%d to %d±%d", offset, known, c.offset.Load(), c.error.Load())
	}
	check()

	// Without an answer, the clock goes on.
	server.Kill()
	before := c.now()
	if err := c.measure(t.Context(), rdb); err == nil {
		t.Error("a dead server was measured")
	}
	if c.offset.Load() != offset || c.now() < before {
		t.Error("the clock did not go on without Redis")
	}
}

func redisTime(t *testing.T, rdb *redis.Client) int64 {
	t.Helper()
	at, err := rdb.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro()
}
