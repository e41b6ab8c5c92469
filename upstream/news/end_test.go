package news

import (
	"context"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
)

// Where a process that searches stops, another does at its next turn, and not only when the lease ends. One that does not search ends
// nobody's.
func TestNews_AProcessThatStopsLetsAnotherSearch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	run := func() (f *Follower, stop func()) {
		f = w.follower()
		f.Every = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		return f, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	first, stopFirst := run()
	eventually.Holds(t, "the first searches", func() bool { return first.State().Leads })
	w.store = w.open(1)
	_, stopSecond := run()
	stopSecond()
	third := w.follower()
	if leads, err := third.step(t.Context()); leads || err != nil {
		t.Fatalf("two search at a time: %v", err)
	}
	if err := w.store.EndNewsLead(t.Context()); err != nil {
		t.Error(err)
	}
	if leads, err := third.step(t.Context()); leads || err != nil {
		t.Fatalf("one process has ended another's turn: %v", err)
	}
	stopFirst()
	w.poll(third)
}

// Events that were sent, and that Redis does not take, are counted as lost. Those that say nothing about copies are not.
func TestNews_SentEventsThatRedisDoesNotTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	registry := prometheus.NewRegistry()
	f := New(Config{Store: w.store, Search: w.client.Events, MaxAgeProven: maxAgeProven, Metrics: registry})
	if text := f.SentText(time.Now()); text != "none has come to this process yet" {
		t.Error(text)
	}
	for _, e := range []upstream.Event{
		{AggregateType: "session", Aggregate: "1", Type: "session.terminated"}, {AggregateType: "user", Aggregate: "2", Type: "user.locked"}, {AggregateType: "org", Aggregate: "3", Type: "org.removed"},
	} {
		f.Sent(e)
	}
	if text := f.SentText(time.Unix(0, f.lastSent.Load()).Add(3 * time.Second)); text != "last one 3s ago" {
		t.Error(text)
	}
	w.redis.Stop()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	eventually.Holds(t, "two are lost", func() bool {
		return observed.Counts(t, registry)["cloakroom_upstream_events_total lost webhook"] == 2
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
