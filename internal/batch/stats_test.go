package batch_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// Calls, and the trips that they share, are counted once each, without those
// that were refused and those that left before they were sent.
func TestStats_CallsShareTrips(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1, MaxQueued: 5})
	is := func(what string, want batch.Stats) {
		t.Helper()
		if got := b.Stats(); got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	is("before the first call", batch.Stats{})
	calls := []*call{start(t.Context(), b, incr("k"))}
	<-g.entered
	is("with one trip under way", batch.Stats{Calls: 1, Trips: 1})
	for i := range 3 {
		calls = append(calls, start(t.Context(), b, incr("k")))
		queued(t, b, i+1)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := start(ctx, b, incr("k"), incr("k"))
	queued(t, b, 5)
	if err := b.Do(t.Context(), incr("k")); !errors.Is(err, batch.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	is("with a full queue", batch.Stats{Calls: 1, Trips: 1, Refused: 1, Queued: 5})
	leave()
	if err := left.wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	queued(t, b, 3)
	g.pass <- struct{}{}
	<-g.entered
	is("with a trip of three under way", batch.Stats{Calls: 4, Trips: 2, Refused: 1})
	g.pass <- struct{}{}
	for _, call := range calls {
		if err := call.wait(); err != nil {
			t.Error(err)
		}
	}
	b.Close()
	is("after the end", batch.Stats{Calls: 4, Trips: 2, Refused: 1})
}

// On a Cluster all masters count together, those included that are asked no more.
func TestCluster_StatsOfAllMasters(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := newCluster(t, c.Client(t))
	keys := keysOf(c, 1)
	ask := func(of ...[]string) {
		t.Helper()
		var cmds []redis.Cmder
		for _, keys := range of {
			cmds = append(cmds, get(keys[0]))
		}
		if err := b.Do(t.Context(), cmds...); err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	is := func(calls, trips uint64) {
		t.Helper()
		if got, want := b.Stats(), (batch.Stats{Calls: calls, Trips: trips}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	ask(keys[0])
	ask(keys[1], keys[0])
	is(3, 3)
	b.Forget()
	ask(keys[2]) // a new master: those that were not asked for long are put away
	if n := b.Masters(); n != 1 {
		t.Errorf("%d masters have a Batcher, want 1", n)
	}
	is(4, 4)
	ask(keys...)
	is(7, 7)
}
