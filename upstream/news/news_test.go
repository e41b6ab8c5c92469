package news

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/redis/go-redis/v9"
)

// While news come, a copy answers for the long max age; without them for the short one after the last.
func TestI3_NewsLetCopiesAnswerLonger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	id := w.create()
	w.begin(f)
	w.sees(id, 1, nil)
	w.pass(f, 2*time.Minute)
	w.sees(id, 0, nil)
	w.advance(maxAge - commitWithin)
	w.sees(id, 1, nil) // the last news are too old
	w.pass(f, maxAgeProven*7/10)
	w.sees(id, 0, nil)
	w.pass(f, maxAgeProven*3/10)
	w.sees(id, 1, nil)
}

// A copy from before the first search is proven by none.
func TestI3_NewsProveNothingFromBeforeTheyBegan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.create()
	w.sees(id, 1, nil)
	w.advance(time.Second)
	w.zitadel.Terminate(string(id))
	w.advance(time.Second)
	// Enough happens that the search for the latest event does not find this one.
	for range 3 {
		w.advance(3 * time.Second)
		w.create()
	}
	f := w.follower()
	w.pass(f, maxAge)
	w.sees(id, 1, session.ErrNotFound)
}

func TestI4_NewsOfWhatHappensAtZITADEL(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	for _, w := range []*world{newWorld(t, 1), newWorld(t, 4), newWorldAt(t, func() redis.UniversalClient { return cluster.Client(t) }, 0)} {
		f := w.follower()
		w.begin(f)

		a, b := w.create(), w.create()
		w.sees(a, 1, nil)
		w.sees(b, 1, nil)
		w.pass(f, 3*time.Second)
		w.sees(a, 0, nil) // its own events are in it already
		w.zitadel.Terminate(string(a))
		w.pass(f, time.Second)
		w.sees(a, 0, session.ErrRevoked)
		w.sees(b, 0, nil)

		if _, err := w.zitadel.SetMetadata(string(b), "k", "v"); err != nil {
			t.Fatal(err)
		}
		w.pass(f, time.Second)
		eventually.Holds(t, "what is in use is asked for again at once", func() bool {
			got, err := w.store.Get(t.Context(), b)
			return err == nil && strings.Contains(string(got.Doc), `"metadata"`)
		})
		w.sees(b, 0, nil)

		w.zitadel.ChangePassword(w.user, password)
		w.pass(f, time.Second)
		w.sees(b, 1, nil)

		c := w.create()
		w.sees(c, 1, nil)
		w.pass(f, time.Minute)
		w.sees(c, 1, nil) // the user has changed; the second look has outdated it
		w.zitadel.Lock(w.user)
		w.pass(f, time.Second)
		w.sees(c, 1, session.ErrNotFound)
		w.sees(b, 1, session.ErrNotFound)
	}
}

// A question that was sent before a user was locked, and whose answer is stored after the news of that: no proof covers it, and the
// second look outdates it.
func TestI4_NewsOfAUserFindAQuestionUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	other, _ := w.zitadel.CreateSession(zitadeltest.Session{UserID: w.addUser(), Password: true})
	id := w.create()
	w.begin(f)

	hold := w.zitadel.Hold(zitadeltest.GetSession)
	done := make(chan error)
	go func() {
		_, err := w.store.Get(context.WithoutCancel(t.Context()), id)
		done <- err
	}()
	hold.Wait(1)
	asked := w.clock.Now()
	w.advance(time.Second)
	w.zitadel.Lock(w.user)
	w.pass(f, time.Second)
	hold.Release()
	if err := <-done; err != nil {
		t.Fatal(err) // it was so when it was asked
	}
	for range w.store.QuestionFor()/time.Second - 1 { // others go on meanwhile
		w.pass(f, time.Second)
		if _, err := w.zitadel.SetMetadata(other, "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.store.LastNews(); n.Proven >= asked {
		t.Error("a proof covers a copy that may lack a change")
	}
	// The process that has looked once goes, and another one goes on.
	w.release()
	f = w.follower()
	w.pass(f, w.store.QuestionFor()+3*time.Second)
	w.sees(id, 1, session.ErrNotFound)
}

// Events that are committed after others with later dates are found.
func TestI4_NewsThatAreCommittedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	late, other := w.create(), w.create()
	w.sees(late, 1, nil)
	w.pass(f, time.Second)
	w.zitadel.Change(func(s *zitadeltest.Settings) {
		s.SearchDelay = func(e zitadeltest.Event) time.Duration {
			if e.AggregateID == string(late) {
				return commitWithin - time.Second
			}
			return 0
		}
	})
	w.zitadel.Terminate(string(late))
	for range 4 {
		w.pass(f, time.Second)
		if _, err := w.zitadel.SetMetadata(string(other), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(f, time.Second)
	w.sees(late, 0, session.ErrRevoked)
}

// What ZITADEL sends is applied without a search.
func TestI4_NewsThatAreSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	f.Every = 0
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	id := w.create()
	w.sees(id, 1, nil)
	w.zitadel.Terminate(string(id))
	if !f.Sent(upstream.Event{AggregateType: "session", Aggregate: string(id), Type: "session.terminated"}) {
		t.Error("it was not taken")
	}
	eventually.Holds(t, "the session is gone", func() bool {
		_, err := w.store.Get(t.Context(), id)
		return errors.Is(err, session.ErrRevoked)
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for range mostSent {
		f.Sent(upstream.Event{})
	}
	if f.Sent(upstream.Event{}) {
		t.Error("more wait than may")
	}
}
