package batch

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Trips counts the round trips to Redis that are made for one caller. Make it with
// CountTrips. It is safe for concurrent use.
type Trips struct{ n atomic.Int64 }

// counting is how many Trips count now: while none does, nobody looks for one in a context.
var counting atomic.Int64

type tripsKey struct{}

// CountTrips returns a context whose round trips are counted: one for each master that is
// asked, and one for each that is shared with other callers. Counted are those of this
// package, and those of the clients that CountTripsOf was told of. What a new connection
// needs before it can be used is not counted. It needs an End.
func CountTrips(ctx context.Context) (counted context.Context, t *Trips) {
	t = new(Trips)
	counting.Add(1)
	return context.WithValue(ctx, tripsKey{}, t), t
}

// End says that nobody asks for N any more. It must be called once.
func (t *Trips) End() { counting.Add(-1) }

// N returns how many round trips there were.
func (t *Trips) N() int64 { return t.n.Load() }

// tripsOf returns what counts the round trips of a context; nil if nothing does.
func tripsOf(ctx context.Context) *Trips {
	if counting.Load() == 0 {
		return nil
	}
	t, _ := ctx.Value(tripsKey{}).(*Trips)
	return t
}

// add counts a round trip. t may be nil.
func (t *Trips) add() {
	if t != nil {
		t.n.Add(1)
	}
}

// Value hides the counter: a caller that makes its own trip counts it as others do.
func (l *lone) Value(key any) any {
	if key == (tripsKey{}) {
		return nil
	}
	return l.Context.Value(key)
}

// CountTripsOf has CountTrips count the round trips that are made with rdb itself, on a
// Cluster those to each node. A client of a Cluster must not have been used before.
func CountTripsOf(rdb redis.UniversalClient) {
	switch c := rdb.(type) {
	case *redis.Client:
		c.AddHook(countHook{})
	case *redis.ClusterClient:
		c.OnNewNode(func(node *redis.Client) { node.AddHook(countHook{}) })
	}
}

// countHook counts round trips of a client.
type countHook struct{}

// count counts a round trip, and returns a context for it in which it does not count
// again: in a hook of the same kind, or for a new connection.
func (countHook) count(ctx context.Context) context.Context {
	t := tripsOf(ctx)
	if t == nil {
		return ctx
	}
	t.add()
	return context.WithValue(ctx, tripsKey{}, nil)
}

// DialHook implements redis.Hook.
func (countHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (h countHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return next(h.count(ctx), cmd) }
}

// ProcessPipelineHook implements redis.Hook, for pipelines and transactions.
func (h countHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return next(h.count(ctx), cmds) }
}
