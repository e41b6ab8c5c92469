package near

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Hooks are for tests: they hold time in their hand, and hear what happens. A nil
// one changes nothing.
type Hooks struct {
	// Clock is time since some instant, in place of this process' monotonic clock.
	Clock func() time.Duration
	// Tick makes a ticker, and what stops it, in place of time.NewTicker.
	Tick func(every time.Duration) (<-chan time.Time, func())
	// Link changes where a connection for invalidations goes.
	Link func(*redis.Options)
	// Saw is told what has happened, by several goroutines at a time.
	Saw func(Event)
}

// Event is something that has happened.
type Event struct {
	// What is "ping" or "link" for a question on a link, or its answer; "master" or
	// "master away" for one to a master, answered or not; "invalidation", "flush"; or
	// "down" when there are no links any more.
	What string
	// Master says which one it is about, of those that are followed, from 0 on; and
	// Sent when its question was sent, by Hooks.Clock. Both are 0 where there is none.
	Master int
	Sent   time.Duration
}

// Hook sets hooks. It must be called between Watch and Run.
func (n *Cache) Hook(h Hooks) {
	if h.Clock != nil {
		n.fresh.clock = func() instant { return instant(h.Clock()) }
	}
	if h.Tick != nil {
		n.tracker.tick = h.Tick
	}
	if h.Saw != nil {
		n.saw = h.Saw
	}
	if h.Link == nil {
		return
	}
	find := n.tracker.find
	n.tracker.find = func(ctx context.Context) ([]*master, error) {
		masters, err := find(ctx)
		changed := make([]*master, len(masters))
		for i, m := range masters {
			it, options := *m, *m.link
			h.Link(&options)
			it.link = &options
			changed[i] = &it
		}
		return changed, err
	}
}

// Evict drives out all copies, as a lack of memory does. It is for tests.
func (n *Cache) Evict() {
	n.sessions.held.InvalidateAll()
	n.lists.held.InvalidateAll()
}
