package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// maxAge and keepFor are those of the tests' upstreams.
const maxAge, keepFor = 30 * time.Second, 24 * time.Hour

// Tokens as ZITADEL makes them.
var t1, t2, t3 = sealed("1"), sealed("2"), sealed("3")

func sealed(of string) string { return strings.Repeat(of, 256) + ".b.c.d.e" }

// record is a system of record in memory. A test may hold its answers back: what it answers was so when it was asked.
type record struct {
	mu       sync.Mutex
	sessions map[session.ID]*session.Session
	tokens   map[session.ID]string
	away     bool
	asked    int
	held     chan chan struct{} // the next question waits for what it sends there to be closed; nil holds none
}

func newRecord() *record {
	return &record{sessions: map[session.ID]*session.Session{}, tokens: map[session.ID]string{}}
}

func (r *record) put(s *session.Session, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s.ID], r.tokens[s.ID] = s, token
}

func (r *record) delete(id session.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, id)
	delete(r.tokens, id)
}

func (r *record) setAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

// hold has the next question wait, and returns how to wait for it, and how to let it go.
func (r *record) hold() (arrived func() (release func())) {
	held := make(chan chan struct{})
	r.mu.Lock()
	r.held = held
	r.mu.Unlock()
	return func() func() {
		gate := <-held
		return func() { close(gate) }
	}
}

func (r *record) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *record) ask(ctx context.Context, id session.ID, token string) (*session.Session, error) {
	r.mu.Lock()
	r.asked++
	away, s, right, held := r.away, r.sessions[id], token == "" || r.tokens[id] == token, r.held
	r.held = nil
	r.mu.Unlock()
	if held != nil {
		gate := make(chan struct{})
		held <- gate
		<-gate
	}
	switch {
	case away:
		return nil, errors.New("away")
	case s == nil:
		return nil, session.ErrNotFound
	case !right:
		return nil, session.ErrWrongToken
	}
	next := *s
	return &next, nil
}

// copied is a store that keeps copies of a record.
type copied struct {
	*testStore
	t     *testing.T
	clock *storetest.Clock
}

func openCopied(t *testing.T, r *record, client redis.UniversalClient, clock *storetest.Clock, shards ...int) *copied {
	t.Helper()
	s := openConfig(t, clock, cache.Config{
		Redis: client, Clock: clock.Now, Shards: append(shards, 1)[0],
		Upstream: &cache.Upstream{Ask: r.ask, Timeout: 5 * time.Second, MaxAge: maxAge, MaxBytes: 16 << 10, Keep: keepFor},
	})
	t.Cleanup(func() { _ = s.Close() })
	return &copied{s, t, clock}
}

// is checks what Get answers: a session with this sequence, or an error.
func (c *copied) is(id session.ID, sequence uint64, want error) {
	c.t.Helper()
	got, err := c.Get(c.t.Context(), id)
	switch {
	case !errors.Is(err, want):
		c.t.Errorf("got the error %v, want %v", err, want)
	case err == nil && (got.ID != id || got.Sequence != sequence):
		c.t.Errorf("got %s with sequence %d, want %s with %d", got.ID, got.Sequence, id, sequence)
	}
}

func TestUpstream_IsAskedOnceInMaxAge(t *testing.T) {
	t.Parallel()
	clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
	a, b := openCopied(t, r, server.Client(t), clock), openCopied(t, r, server.Client(t), clock)
	r.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), "")
	a.is("s1", 3, nil)
	b.is("s1", 3, nil)
	clock.Advance(maxAge * 7 / 10)
	a.is("s1", 3, nil)
	if got := r.questions(); got != 1 {
		t.Errorf("upstream was asked %d times, want once", got)
	}
	clock.Advance(maxAge * 3 / 10)
	r.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(4)), "")
	a.is("s1", 4, nil)
	b.is("s1", 4, nil)
	if got := r.questions(); got != 2 {
		t.Errorf("upstream was asked %d times, want twice", got)
	}
	b.is("s2", 0, session.ErrNotFound)
}

func TestUpstream_CopyInUseIsAskedForAhead(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	s := openCopied(t, r, redistest.Start(t).Client(t), clock)
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), "")
	s.is("s1", 3, nil)
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(4)), "")
	clock.Advance(maxAge * 95 / 100)
	s.is("s1", 3, nil) // nobody waits
	eventually.Holds(t, "the newer version is stored", func() bool {
		got, err := s.Get(t.Context(), "s1")
		return err == nil && got.Sequence == 4
	})
	clock.Advance(maxAge * 7 / 10)
	s.is("s1", 4, nil)
	if got := r.questions(); got != 2 {
		t.Errorf("upstream was asked %d times, want twice", got)
	}
}

func TestI2_UpstreamAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	s := openCopied(t, r, redistest.Start(t).Client(t), clock)
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), "")
	s.is("s1", 3, nil)
	r.setAway(true)
	s.is("s2", 0, session.ErrUnavailable)
	clock.Advance(maxAge - time.Microsecond)
	s.is("s1", 3, nil)
	clock.Advance(time.Microsecond)
	s.is("s1", 0, session.ErrUnavailable)
	r.setAway(false)
	s.is("s1", 3, nil)
}

func TestI3_SlowOldAnswerOfUpstreamIsNotKept(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored %v", stored), func(t *testing.T) {
			clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
			a, b := openCopied(t, r, server.Client(t), clock), openCopied(t, r, server.Client(t), clock)
			r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), "")
			if stored {
				a.is("s1", 3, nil)
				clock.Advance(maxAge)
			}
			for _, change := range []struct {
				name string
				do   func() error
				want error
			}{
				{"an event", func() error {
					r.put(storetest.New("s1", clock.Now(), storetest.Sequence(4)), "")
					return b.Outdate(t.Context(), "s1")
				}, nil},
				{"another process has asked", func() error {
					r.put(storetest.New("s1", clock.Now(), storetest.Sequence(4)), "")
					_, err := b.Get(t.Context(), "s1")
					return err
				}, nil},
				{"a termination", func() error {
					r.delete("s1")
					return b.Terminate(t.Context(), "s1", "ended")
				}, session.ErrNotFound},
			} {
				arrived := r.hold()
				done := make(chan struct{})
				go func() {
					defer close(done)
					a.is("s1", 4, change.want)
				}()
				release := arrived()
				if err := change.do(); err != nil {
					t.Errorf("%s: %v", change.name, err)
				}
				release()
				<-done
				a.is("s1", 4, change.want)
				b.is("s1", 4, change.want)
				if change.want == nil { // anew
					r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), "")
					clock.Advance(maxAge)
				}
			}
		})
	}
}

func TestI4_CallerOfUpstreamSeesItsOwnWrite(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	s := openCopied(t, r, redistest.Start(t).Client(t), clock)
	arrived := r.hold()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.Get(t.Context(), "s1")
	}()
	release := arrived() // that it does not exist
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), "")
	if err := s.Outdate(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Microsecond)
	seen := make(chan struct{})
	go func() { // joins the question that was sent before
		defer close(seen)
		s.is("s1", 3, nil)
	}()
	release()
	<-done
	<-seen
}

func TestUpstream_HerdAsksTwiceAtMost(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	s := openCopied(t, r, redistest.Start(t).Client(t), clock)
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), "")
	arrived := r.hold()
	var herd sync.WaitGroup
	for range 1000 {
		herd.Go(func() { s.is("s1", 3, nil) })
	}
	arrived()()
	herd.Wait()
	if got := r.questions(); got > 2 {
		t.Errorf("upstream was asked %d times", got)
	}
}

func TestI5_WhatUpstreamHasNoMoreIsRemovedWithItsEntries(t *testing.T) {
	t.Parallel()
	eachShards(t, testRemoved)
}

func testRemoved(t *testing.T, shards int) {
	clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
	client := server.Client(t)
	s := openCopied(t, r, client, clock, shards)
	for _, change := range []func(){
		func() { r.delete("s1") },
		func() { // ended, and still shown
			r.put(storetest.New("s1", clock.Now(), storetest.Sequence(4), storetest.Expires(clock.Now().Add(-time.Second))), "")
		},
	} {
		r.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Agent("a"), storetest.Sequence(3)), t1)
		if _, err := s.GetWithToken(t.Context(), "s1", t1); err != nil {
			t.Fatal(err)
		}
		change()
		clock.Advance(maxAge)
		_, _ = s.Get(t.Context(), "s1")
		keys, err := client.Keys(t.Context(), "cr:*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if key != "cr:meta" && !strings.HasPrefix(key, "cr:q:") {
				t.Errorf("%s is left", key)
			}
		}
		if err := client.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUpstream_EndedSessionIsShownAndNotVerified(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	s := openCopied(t, r, redistest.Start(t).Client(t), clock)
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3), storetest.Expires(clock.Now().Add(-time.Second))), t1)
	s.is("s1", 3, nil)
	if _, err := s.GetWithToken(t.Context(), "s1", t1); !errors.Is(err, session.ErrExpired) {
		t.Errorf("got %v", err)
	}
}

func TestUpstream_TokenIsLearned(t *testing.T) {
	t.Parallel()
	eachShards(t, testLearned)
}

func testLearned(t *testing.T, shards int) {
	clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
	a, b := openCopied(t, r, server.Client(t), clock, shards), openCopied(t, r, server.Client(t), clock, shards)
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3)), t1)
	token := func(s *copied, token string, want error) {
		t.Helper()
		if got, err := s.GetByToken(t.Context(), token); !errors.Is(err, want) || err == nil && got.ID != "s1" {
			t.Errorf("by %.1s: got %v, %v, want the error %v", token, got, err, want)
		}
	}
	withToken := func(s *copied, token string, want error) {
		t.Helper()
		if _, err := s.GetWithToken(t.Context(), "s1", token); !errors.Is(err, want) {
			t.Errorf("with %.1s: got %v, want %v", token, err, want)
		}
	}
	a.is("s1", 3, nil)
	token(a, t1, session.ErrUnavailable) // nobody has said so yet
	token(a, "no token of ZITADEL's", session.ErrNotFound)
	asked := r.questions()
	withToken(a, "no token of ZITADEL's", session.ErrWrongToken)
	withToken(a, sealed("0"), session.ErrWrongToken)
	withToken(a, sealed("0"), session.ErrWrongToken)
	if got := r.questions(); got != asked+1 {
		t.Errorf("upstream was asked %d times about tokens that are not the session's, want once", got-asked)
	}
	withToken(a, t1, nil)
	asked = r.questions()
	token(a, t1, nil)
	token(b, t1, nil)
	withToken(b, t1, nil)
	if got := r.questions(); got != asked {
		t.Errorf("upstream was asked %d times for what was known", got-asked)
	}
	clock.Advance(maxAge)
	token(b, t1, nil) // the same version still has it
	clock.Advance(maxAge)
	a.is("s1", 3, nil)
	token(a, t1, nil)

	next := storetest.New("s1", clock.Now(), storetest.Sequence(5))
	r.put(next, t2) // a Set, of which no event comes
	token(a, t1, nil)
	clock.Advance(maxAge)
	token(b, t1, session.ErrWrongToken)
	token(a, t1, session.ErrWrongToken)
	withToken(a, t2, nil)
	token(b, t2, nil)
	token(b, t1, session.ErrUnavailable)

	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(6)), t3)
	if err := b.Outdate(t.Context(), "s1"); err != nil { // its event
		t.Fatal(err)
	}
	token(a, t2, session.ErrWrongToken)
}

// A session that is due by our clock is in Redis until that, or the sweeper, removes it. It is terminated all the same. (I4)
func TestI4_TerminateEndsWhatIsDueAndStored(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
		client := server.Client(t)
		s := openCopied(t, r, client, clock, shards)
		// In our clock's time, which is not Redis' in tests: that does not expire it.
		r.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3), storetest.Expires(clock.Now().Add(time.Minute))), t1)
		if _, err := s.GetWithToken(t.Context(), "s1", t1); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Minute)
		stored := func(kind string) int {
			keys, err := client.Keys(t.Context(), "cr:"+kind+":*").Result()
			if err != nil {
				t.Fatal(err)
			}
			return len(keys)
		}
		if stored("s") != 1 {
			t.Fatal("Redis does not have it any more: the test shows nothing")
		}
		if err := s.Terminate(t.Context(), "s1", "terminated"); err != nil {
			t.Errorf("got %v", err)
		}
		if stored("s") != 0 || stored("d") != 1 {
			t.Errorf("left are %d sessions and %d tombstones, want none and one", stored("s"), stored("d"))
		}
		// Whatever upstream says of it from now on.
		r.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(9)), t1)
		if _, err := s.GetWithToken(t.Context(), "s1", t1); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("got %v", err)
		}
	})
}

// A session that many ask for is asked for ahead in one place, so that others have one, too.
func TestUpstream_OneSessionTakesOnePlaceAhead(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	s := openCopied(t, r, redistest.Start(t).Client(t), clock)
	for _, id := range []session.ID{"busy", "other"} {
		r.put(storetest.New(id, clock.Now(), storetest.Sequence(3)), "")
		s.is(id, 3, nil)
		r.put(storetest.New(id, clock.Now(), storetest.Sequence(4)), "")
	}
	clock.Advance(maxAge * 95 / 100)
	arrived := r.hold()
	s.is("busy", 3, nil)
	release := sync.OnceFunc(arrived())
	defer release() // else a test that fails waits for it
	for range 100 { // more than there are places
		s.is("busy", 3, nil)
	}
	s.is("other", 3, nil)
	eventually.Holds(t, "the other one is asked for", func() bool {
		got, err := s.GetFresh(t.Context(), "other")
		return err == nil && got.Sequence == 4
	})
	release()
	eventually.Holds(t, "and the busy one", func() bool {
		got, err := s.GetFresh(t.Context(), "busy")
		return err == nil && got.Sequence == 4
	})
}
