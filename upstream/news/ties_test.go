package news

import (
	"context"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// kept says whether Redis has as many ties.
func (w *world) kept(want int) {
	w.t.Helper()
	if n := len(w.redis.Client(w.t).Keys(w.t.Context(), "cr:o:*").Val()); n != want {
		w.t.Errorf("%d ties are kept, want %d", n, want)
	}
}

func TestTies_AreLearned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	f := w.follower()
	w.begin(f)
	id := w.create()
	w.zitadel.StartOIDCSession(string(id), "app")
	w.pass(f, time.Second)
	w.kept(0)
	f.Ties = true
	w.pass(f, time.Second)
	w.kept(1)
	for range 3 {
		w.zitadel.StartOIDCSession(string(id), "app")
		w.pass(f, 3*time.Second)
	}
	w.kept(4)
	if n := len(f.polls.chain.ties.known); n == 0 || n > 3 {
		t.Errorf("%d are known, of those of the last 5 s", n)
	}
}

// A search for ties that fails is none of the news', and is made up for.
func TestTies_FailAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	fails := true
	f := New(Config{Store: w.store, Every: time.Second, MaxAgeProven: maxAgeProven, Ties: true, Search: func(ctx context.Context, s upstream.EventSearch) ([]upstream.Event, error) {
		if fails && s.AggregateTypes[0] == upstream.OIDCSessions {
			return nil, upstream.ErrUnavailable
		}
		return w.client.Events(ctx, s)
	}})
	w.begin(f)
	id := w.create()
	w.zitadel.StartOIDCSession(string(id), "app")
	w.pass(f, 20*time.Second)
	w.kept(0)
	if age := w.clock.Now().Sub(w.store.LastNews().Proven); age > commitWithin {
		t.Errorf("the news are %v old", age)
	}
	fails = false
	w.pass(f, time.Second)
	w.kept(1)
}

func TestTies_AreSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	f.Every = 0
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.Sent(upstream.Event{AggregateType: upstream.OIDCSessions, Aggregate: "V2_1", Type: "oidc_session.added", Tie: session.Tie{Session: "1", User: "7"}})
	f.Sent(upstream.Event{AggregateType: upstream.OIDCSessions, Aggregate: "V2_2", Type: "oidc_session.access_token.added"})
	client := w.redis.Client(t)
	eventually.Holds(t, "it is kept", func() bool { return len(client.Keys(t.Context(), "cr:o:*").Val()) == 1 })
	stop()
	<-ended
	w.kept(1)
}
