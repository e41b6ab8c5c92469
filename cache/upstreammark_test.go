package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
)

// Whoever knows a session's ID asks with made-up tokens, each time while its owner's question is under way.
func TestUpstream_MadeUpTokensDoNotKeepTheOwnerOut(t *testing.T) {
	t.Parallel()
	clock, w, server := storetest.NewClock(), newWhose(), redistest.Start(t)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
	var s, other *copied
	made := 0
	interposed := &record{sessions: w.sessions, tokens: w.tokens}
	ask := func(ctx context.Context, id session.ID, token string) (*session.Session, error) {
		got, err := w.ask(ctx, id, token)
		if token == t1 {
			for _, by := range []*copied{s, other} {
				made++
				forged := sealed("f")[:240] + fmt.Sprintf("%04d", made) + ".b.c.d.e"
				if _, err := by.GetWithToken(t.Context(), id, forged); !errors.Is(err, session.ErrWrongToken) {
					t.Errorf("a made-up token: %v", err)
				}
			}
		}
		return got, err
	}
	s = openAsking(t, ask, server, clock)
	other = openCopied(t, interposed, server.Client(t), clock)
	got, err := s.GetWithToken(t.Context(), "s1", t1)
	if err != nil || got.ID != "s1" {
		t.Errorf("the owner got %v, %v", got, err)
	}
	if calls := w.calls(t1); calls != 1 {
		t.Errorf("the owner cost %d questions, want one", calls)
	}
	if _, err := other.GetWithToken(t.Context(), "s1", t1); err != nil || interposed.questions() != 1 {
		t.Errorf("another process: %v, and it asked %d times, want once, about the made-up token: the answer was stored", err, interposed.questions())
	}
}

// openAsking opens a store that asks as it is told.
func openAsking(t *testing.T, ask func(context.Context, session.ID, string) (*session.Session, error), server *redistest.Server, clock *storetest.Clock) *copied {
	t.Helper()
	s := openConfig(t, clock, cache.Config{
		Redis: server.Client(t), Clock: clock.Now, Shards: 1, RememberDeletions: 100,
		Upstream: &cache.Upstream{Ask: ask, Timeout: 5 * time.Second, MaxAge: maxAge, MaxBytes: 16 << 10},
	})
	t.Cleanup(func() { _ = s.Close() })
	return &copied{s, t, clock}
}

// Two questions share a mark. Once the answer to one was stored, that to the other one is not, although the copy is
// gone again. Nor is it once another one has found that nothing is there.
func TestI3_SharedMarkStoresOneAnswer(t *testing.T) {
	t.Parallel()
	clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
	a, b := openCopied(t, r, server.Client(t), clock), openCopied(t, r, server.Client(t), clock)
	for _, c := range []struct {
		name string
		gone func() // after which nothing is stored, and session 3 is no more
		want error
	}{
		{"stored, too old, gone", func() {
			b.is("s1", 3, nil)
			r.delete("s1")
			clock.Advance(maxAge)
			b.is("s1", 0, session.ErrNotFound)
		}, session.ErrNotFound},
		{"found gone", func() {
			r.delete("s1")
			b.is("s1", 0, session.ErrNotFound)
		}, session.ErrNotFound},
		{"found ended", func() {
			r.put(storetest.New("s1", clock.Now(), storetest.Sequence(4), storetest.Expires(clock.Now())), t1)
			b.is("s1", 4, nil)
		}, nil},
	} {
		r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), t1)
		arrived := r.hold()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if got, err := a.Get(t.Context(), "s1"); !errors.Is(err, c.want) || err == nil && got.Sequence != 4 {
				t.Errorf("%s: an answer from before it: %v, %v", c.name, got, err)
			}
		}()
		release := arrived()
		c.gone()
		release()
		<-done
		if t.Failed() {
			return // a copy that is stored now would answer, and nobody would ask
		}
		clock.Advance(time.Second)
	}
}

// A session that was not stored is, is outdated, and is gone again, while a question is under way that had found nothing and was
// marked after it was stored.
func TestI3_EventRemovesTheMarkOfAStoredSession(t *testing.T) {
	t.Parallel()
	clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
	client := server.Client(t)
	s := openCopied(t, r, client, clock)
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), t1)
	s.is("s1", 3, nil)
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	key := space.Question("s1")
	if err := client.Set(t.Context(), key, "late", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Outdate(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	if got := client.Exists(t.Context(), key).Val(); got != 0 {
		t.Error("the mark is there still")
	}
}

// A session that changes each time it is asked for is answered to who asked before, and not stored.
func TestUpstream_OvertakenAnswerIsTheCallers(t *testing.T) {
	t.Parallel()
	for _, end := range []bool{false, true} {
		clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
		var other *copied
		r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), t1)
		asked := 0
		s := openAsking(t, func(ctx context.Context, id session.ID, token string) (*session.Session, error) {
			got, err := r.ask(ctx, id, token)
			if asked++; asked == 4 && end { // upstream did not know yet
				if err := other.Terminate(t.Context(), id, "terminated"); err != nil {
					t.Error(err)
				}
			}
			if err := other.Outdate(t.Context(), id); err != nil {
				t.Error(err)
			}
			return got, err
		}, server, clock)
		other = openCopied(t, newRecord(), server.Client(t), clock)
		got, err := s.GetWithToken(t.Context(), "s1", t1)
		if want := map[bool]error{true: session.ErrRevoked}[end]; !errors.Is(err, want) || err == nil && got.Sequence != 3 {
			t.Errorf("terminated %v: got %v, %v", end, got, err)
		}
		if stored, err := other.GetFresh(t.Context(), "s1"); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("stored is %v, %v", stored, err)
		}
		if asked != 4 {
			t.Errorf("asked %d times", asked)
		}
	}
}
