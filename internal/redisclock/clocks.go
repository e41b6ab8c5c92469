// Package redisclock tells the time of Redis, whatever this machine's clock says: that of the master that is ahead. (I1)
// Look here when dates or the order of instants are wrong, or when masters' clocks are apart. It starts no goroutine:
// somebody has to call Measure, every Every.
package redisclock

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

const (
	// clockPatience is how long a measurement waits for a server.
	clockPatience = 900 * time.Millisecond
	// clockSpread is how far masters' clocks may be apart before it is logged.
	clockSpread = 100 * time.Millisecond
)

// Clocks is the store's clock. (I1) The masters of a Cluster have a clock each;
// the store's is that of the one that is ahead. For Redis drops a hash by its
// own master's clock: so it never does before the session is due by the store's
// clock, and what is not there and not due was not lost to a clock. What masters
// that are behind still hold of it is due, and due means gone.
//
// Now and Spread may be called by any number of goroutines.
type Clocks struct {
	start  time.Time
	offset atomic.Int64 // the largest of those known
	spread atomic.Int64 // µs by which masters' clocks are apart, as far as that is certain
	log    *slog.Logger

	// For the goroutine that measures, one at a time, and those that it starts.
	mu    sync.Mutex
	known map[redis.UniversalClient]*clock
	apart bool // it was logged
}

// New returns a clock that has measured nothing yet, and has no time to tell before it has.
func New(log *slog.Logger) *Clocks {
	return &Clocks{start: time.Now(), log: log, known: make(map[redis.UniversalClient]*clock)}
}

// Now is the time by the last measurement.
func (c *Clocks) Now() session.Time {
	return session.Time(c.offset.Load() + time.Since(c.start).Microseconds())
}

// Measure asks every master for its time. One that does not answer keeps the
// offset that it had; it is forgotten when it is no master any more. It fails
// only if none answers. It is called from one goroutine at a time.
func (c *Clocks) Measure(ctx context.Context, rdb redis.UniversalClient) error {
	masters := make(map[redis.UniversalClient]*clock)
	err := redisinfo.EachMaster(ctx, rdb, func(ctx context.Context, master redis.UniversalClient) error {
		c.mu.Lock()
		of := c.known[master]
		if of == nil {
			of = &clock{start: c.start}
		}
		masters[master] = of
		c.mu.Unlock()
		// A deadline of its own: to find the masters may take long while one is silent.
		ctx, cancel := context.WithTimeout(ctx, clockPatience)
		defer cancel()
		return of.measure(ctx, master)
	})
	if err == nil {
		c.known = masters
		c.choose()
	}
	return err
}

// choose takes the clock that is ahead of the others.
func (c *Clocks) choose() {
	var ahead, behind *clock
	for _, of := range c.known {
		switch {
		case of.offset.Load() == 0: // it has never answered
		case ahead == nil:
			ahead, behind = of, of
		case of.offset.Load() > ahead.offset.Load():
			ahead = of
		case of.offset.Load() < behind.offset.Load():
			behind = of
		}
	}
	if ahead == nil {
		return
	}
	c.offset.Store(ahead.offset.Load())
	spread := max(ahead.offset.Load()-behind.offset.Load()-ahead.error.Load()-behind.error.Load(), 0)
	c.spread.Store(spread)
	if apart := spread > clockSpread.Microseconds(); apart != c.apart {
		c.apart = apart
		if apart {
			c.log.Warn("the clocks of Redis masters differ: sessions end by the one that is ahead", "by", (time.Duration(spread) * time.Microsecond).String())
		} else {
			c.log.Info("the clocks of Redis masters agree again")
		}
	}
}

// Spread is how far the clocks of a Cluster's masters are apart, at least, by the
// last measurement.
func (c *Clocks) Spread() time.Duration { return time.Duration(c.spread.Load()) * time.Microsecond }
