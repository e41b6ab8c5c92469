package index

import (
	"context"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// expiryBounds are the upper bounds of Expiries.Within, except for the last.
var expiryBounds = [...]time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 3 * 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour,
}

// ExpiryBounds returns the upper bounds of the first elements of Expiries.Within, in ascending order. The last element has none.
func ExpiryBounds() []time.Duration { return expiryBounds[:len(expiryBounds):len(expiryBounds)] }

// Expiries says how many sessions live, and how soon they end.
type Expiries struct {
	// At is the instant of the store's clock that the dates are compared with. (I1)
	At session.Time
	// Within counts the sessions that end within each bound of ExpiryBounds and not within the bound before.
	// Its last element counts those that end on a later date.
	Within [len(expiryBounds) + 1]int64
	// Never counts the sessions that do not end on any date.
	Never int64
}

// Live is how many sessions live: those that are due are not among them, whether they are swept or not.
func (e *Expiries) Live() int64 {
	live := e.Never
	for _, n := range e.Within {
		live += n
	}
	return live
}

// Expiries counts the sessions that live at now by how soon they end. Redis counts them on the catalogues, which touches no
// element of them (I10), in one round trip to each master. A session that nobody changes meanwhile counts exactly once.
func (ix *Index) Expiries(ctx context.Context, now session.Time) (*Expiries, error) {
	e := &Expiries{At: now}
	pipe := ix.searchRdb.Pipeline()
	for shard := range ix.keys.Shards() {
		catalogue, after := ix.keys.Catalogue(shard), now
		for _, bound := range expiryBounds {
			until := now.Add(bound)
			pipe.ZCount(ctx, catalogue, "("+session.Score(after), session.Score(until))
			after = until
		}
		pipe.ZCount(ctx, catalogue, "("+session.Score(after), session.Score(session.MaxScore-1))
		pipe.ZCount(ctx, catalogue, "+inf", "+inf")
	}
	counts, err := pipe.Exec(ctx)
	if err != nil {
		return nil, err
	}
	const each = len(e.Within) + 1
	for i, cmd := range counts {
		n := cmd.(*redis.IntCmd).Val()
		if i%each == len(e.Within) {
			e.Never += n
		} else {
			e.Within[i%each] += n
		}
	}
	return e, nil
}
