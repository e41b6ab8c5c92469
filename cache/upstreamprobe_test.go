package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
)

// whose is a record that also says whose a token is, and what sessions a user has.
type whose struct {
	*record
	refuse      map[string]error // what UserOf says of a token
	lists       [][]session.ID   // what the next lists say; the last one stays
	users, list int              // questions
	by          map[string]int   // questions about each token
}

func newWhose() *whose {
	return &whose{record: newRecord(), refuse: map[string]error{}, by: map[string]int{}}
}

func (w *whose) userOf(_ context.Context, token string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users++
	w.by[token]++
	if err := w.refuse[token]; err != nil {
		return "", err
	}
	for _, of := range w.tokens {
		if of == token {
			return "u", nil
		}
	}
	return "", session.ErrNoToken
}

func (w *whose) sessionsOf(context.Context, string) ([]session.ID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list++
	if len(w.lists) == 0 {
		return nil, errors.New("away")
	}
	now := w.lists[0]
	if len(w.lists) > 1 {
		w.lists = w.lists[1:]
	}
	return now, nil
}

func (w *whose) listed(lists ...[]session.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lists = lists
}

func (w *whose) refuses(token string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse[token] = err
}

func (w *whose) ask(ctx context.Context, id session.ID, token string) (*session.Session, error) {
	w.mu.Lock()
	w.by[token]++
	w.mu.Unlock()
	return w.record.ask(ctx, id, token)
}

// calls is how many calls a token has cost.
func (w *whose) calls(token string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by[token]
}

// cost is how often each question was asked.
type cost struct{ users, lists, sessions int }

func (w *whose) cost() cost {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cost{w.users, w.list, w.asked}
}

func (w *whose) costs(t *testing.T, want cost) {
	t.Helper()
	if got := w.cost(); got != want {
		t.Errorf("asked were %+v, want %+v", got, want)
	}
}

func openProbing(t *testing.T, w *whose, clock *storetest.Clock, perSecond int) *copied {
	t.Helper()
	s := openConfig(t, clock, cache.Config{
		Redis: redistest.Start(t).Client(t), Clock: clock.Now, Shards: 1,
		Upstream: &cache.Upstream{
			Ask: w.ask, UserOf: w.userOf, SessionsOf: w.sessionsOf, ProbesPerSecond: perSecond, ProbesWaiting: 64,
			Timeout: 5 * time.Second, MaxAge: maxAge, MaxBytes: 16 << 10,
		},
	})
	t.Cleanup(func() { _ = s.Close() })
	return &copied{s, t, clock}
}

func (c *copied) byToken(token string, id session.ID, want error) {
	c.t.Helper()
	got, err := c.GetByToken(c.t.Context(), token)
	if !errors.Is(err, want) || err == nil && got.ID != id {
		c.t.Errorf("got %v, %v, want %s and the error %v", got, err, id, want)
	}
}

func TestUpstream_BareTokenIsFoundAndLearned(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 0)
	for i, id := range []session.ID{"s1", "s2", "s3"} {
		w.put(storetest.New(id, clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), []string{t1, t2, t3}[i])
	}
	w.listed([]session.ID{"s3", "s2", "s1"})
	s.byToken(t2, "s2", nil)
	w.costs(t, cost{1, 1, 2})
	s.byToken(t2, "s2", nil)
	clock.Advance(maxAge)
	s.byToken(t2, "s2", nil) // asked for its own sake
	w.costs(t, cost{1, 1, 3})
	s.byToken("no token of ZITADEL's", "", session.ErrNotFound)
	w.costs(t, cost{1, 1, 3})
}

func TestUpstream_BareTokenIsListedAgain(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 0)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
	w.put(storetest.New("s2", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t2)
	w.listed([]session.ID{"s2"}, []session.ID{"s1", "s2"})
	s.byToken(t1, "s1", nil)
	w.costs(t, cost{1, 2, 2})
}

// That a list lacks a session says nothing, and is not remembered.
func TestI2_BareTokenThatNoListHasIsUnavailable(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 0)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
	s.byToken(t1, "", session.ErrUnavailable) // the list is away
	w.listed(nil)
	s.byToken(t1, "", session.ErrUnavailable)
	w.costs(t, cost{2, 3, 0})
	w.listed([]session.ID{"s1"})
	w.setAway(true)
	s.byToken(t1, "", session.ErrUnavailable)
	w.setAway(false)
	s.byToken(t1, "s1", nil)
}

// A refusal for good is remembered for a moment, no other one is.
func TestUpstream_BareTokenIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says, want error
		remembered bool
	}{
		{session.ErrNoToken, session.ErrNoToken, true},
		{session.ErrExpired, session.ErrExpired, true},
		{session.ErrWrongToken, session.ErrWrongToken, true},
		{session.ErrNotFound, session.ErrNotFound, false},
		{errors.New("403"), session.ErrUnavailable, false},
	} {
		t.Run(fmt.Sprint(c.says), func(t *testing.T) {
			clock, w := storetest.NewClock(), newWhose()
			s := openProbing(t, w, clock, 0)
			w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
			w.listed([]session.ID{"s1"})
			w.refuses(t1, c.says)
			s.byToken(t1, "", c.want)
			s.byToken(t1, "", c.want)
			want := 2
			if c.remembered {
				want = 1
			}
			w.costs(t, cost{users: want})
			w.refuses(t1, nil)
			clock.Advance(5 * time.Second)
			s.byToken(t1, "s1", nil)
		})
	}
}

// One list leads to five questions at most. A second verify continues with the sessions after them.
func TestUpstream_BareTokenOfOneOfManySessions(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 0)
	var ids []session.ID
	for i := range 40 {
		id := session.ID(fmt.Sprintf("s%d", i))
		ids = append(ids, id)
		w.put(storetest.New(id, clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), sealed(fmt.Sprint(i % 10))[:240]+fmt.Sprintf("%02d", i)+".b.c.d.e")
	}
	w.listed(ids)
	token := func(i int) string { w.mu.Lock(); defer w.mu.Unlock(); return w.tokens[ids[i]] }
	s.byToken(token(4), "s4", nil)
	w.costs(t, cost{1, 1, 5})
	s.byToken(token(14), "", session.ErrUnavailable)
	w.costs(t, cost{2, 3, 15})
	s.byToken(token(14), "s14", nil)
	w.costs(t, cost{3, 4, 20})
}

// All who come with one token at a time cost one probe.
func TestUpstream_HerdWithABareTokenProbesOnce(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 3)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
	w.listed([]session.ID{"s1"})
	arrived := w.hold()
	var herd sync.WaitGroup
	for range 200 {
		herd.Go(func() { s.byToken(t1, "s1", nil) })
	}
	arrived()()
	herd.Wait()
	w.costs(t, cost{1, 1, 1})
	if got := s.UpstreamStats(); got.Probes != 3 || got.NotProbed != 0 {
		t.Errorf("%+v", got)
	}
}

var (
	attacker = netip.MustParsePrefix("192.0.2.1/32")
	honest   = netip.MustParsePrefix("198.51.100.1/32")
)

// pair asks for a session with a token on account of a client.
func (c *copied) pair(ctx context.Context, client netip.Prefix, id session.ID, token string) error {
	_, err := c.GetWithToken(cache.WithClient(ctx, client), id, token)
	return err
}

// Whatever made-up tokens come, bare or with IDs, they cost the budget and no more, and who comes from elsewhere has a turn soon.
func TestUpstream_MadeUpTokensCostTheBudget(t *testing.T) {
	t.Parallel()
	const perSecond = 10
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, perSecond)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
	w.put(storetest.New("s2", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t2)
	w.listed([]session.ID{"s2"})
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	forged := func(i int) string { return sealed("f")[:240] + fmt.Sprintf("%04d", i) + ".b.c.d.e" }
	for i := range 300 {
		flood.Go(func() {
			var err error
			if i%2 == 0 {
				err = s.pair(ctx, attacker, "s1", forged(i))
			} else {
				_, err = s.GetByToken(cache.WithClient(ctx, attacker), forged(i))
			}
			if !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	made := func() int { got := w.cost(); return got.users + got.sessions }
	eventually.Holds(t, "the budget is spent, and a quarter of the line waits", func() bool {
		got := s.UpstreamStats()
		return got.Probes == perSecond && got.ProbesWaiting == 16 && got.NotProbed == 300-perSecond-16
	})
	eventually.Holds(t, "the calls are made", func() bool { return made() == perSecond })
	// What is known here, or was made just now, is no probe.
	if _, err := s.Learn(t.Context(), "s1", t1); err != nil {
		t.Errorf("a token of a write: %v", err)
	}
	s.byToken(t1, "s1", nil)
	// The honest one has every second turn, until it is through: for its user, the list and the session.
	through := make(chan struct{})
	go func() {
		defer close(through)
		if got, err := s.GetByToken(cache.WithClient(t.Context(), honest), t2); err != nil || got.ID != "s2" {
			t.Errorf("got %v, %v", got, err)
		}
	}()
	for done := false; !done; {
		eventually.Holds(t, "the honest one is in line, or through", func() bool {
			select {
			case <-through:
				done = true
			default:
			}
			served := made() - w.calls(t2) - w.calls(t1) - perSecond // of the others, since
			return done || s.UpstreamStats().ProbesWaiting == 16-served+1
		})
		if got := s.UpstreamStats(); got.Probes > perSecond+6 {
			t.Fatal("the honest one has not every second turn")
		}
		before := s.UpstreamStats().Probes
		clock.Advance(time.Second / perSecond)
		eventually.Holds(t, "somebody has a turn", func() bool { return s.UpstreamStats().Probes == before+1 })
	}
	stop()
	flood.Wait()
	eventually.Holds(t, "each permit is one call", func() bool { return made()+w.cost().lists == int(s.UpstreamStats().Probes)+1 }) // and that of Learn
	// A copy that is too old is asked for, whatever there is left.
	clock.Advance(maxAge)
	spent, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.pair(spent, attacker, "s1", forged(0))
	before := s.UpstreamStats().Probes
	if err := s.pair(t.Context(), attacker, "s1", t1); err != nil {
		t.Error(err)
	}
	if got := s.UpstreamStats().Probes; got != before {
		t.Error("it was a probe")
	}
}

// If a caller gives up while it waits for a permit, the other callers with the same question still get an answer.
func TestUpstream_ProbeIsTakenOver(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 1)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
	if err := s.pair(t.Context(), honest, "s1", t2); !errors.Is(err, session.ErrWrongToken) {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- s.pair(ctx, attacker, "s1", t1) }()
	eventually.Holds(t, "the first one waits", func() bool { return s.UpstreamStats().ProbesWaiting == 1 })
	second := make(chan error, 1)
	go func() { second <- s.pair(t.Context(), honest, "s1", t1) }()
	leave()
	if err := <-first; !errors.Is(err, cache.ErrProbes) {
		t.Errorf("got %v", err)
	}
	eventually.Holds(t, "the second one waits", func() bool { return s.UpstreamStats().ProbesWaiting == 1 })
	clock.Advance(time.Second)
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestI7_ProbesEndWithTheStore(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 1)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
	w.listed([]session.ID{"s1"})
	waiting := make(chan error, 1)
	go func() { // its user is asked for, and it waits for a list
		_, err := s.GetByToken(cache.WithClient(t.Context(), honest), t1)
		waiting <- err
	}()
	eventually.Holds(t, "it waits", func() bool { return s.UpstreamStats().ProbesWaiting == 1 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// The token of a session that has ended costs one probe, not one each time that it comes.
func TestUpstream_ExpiredTokenIsRemembered(t *testing.T) {
	t.Parallel()
	clock, w := storetest.NewClock(), newWhose()
	s := openProbing(t, w, clock, 10)
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3), storetest.Expires(clock.Now().Add(-time.Second))), t1)
	w.listed([]session.ID{"s1"})
	for range 3 {
		if err := s.pair(t.Context(), honest, "s1", t1); !errors.Is(err, session.ErrExpired) {
			t.Errorf("got %v", err)
		}
	}
	if got := s.UpstreamStats().Probes; got != 1 || w.calls(t1) != 1 {
		t.Errorf("%d probes and %d calls, want one", got, w.calls(t1))
	}
	s.byToken(t1, "", session.ErrExpired) // a search does not pass it over
	s.is("s1", 3, nil)                    // it is shown
	// A Set revives it, with another token.
	w.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(4), storetest.Expires(clock.Now().Add(time.Hour))), t2)
	if err := s.pair(t.Context(), honest, "s1", t2); err != nil {
		t.Errorf("its new token: %v", err)
	}
	if err := s.pair(t.Context(), honest, "s1", t1); !errors.Is(err, session.ErrExpired) {
		t.Errorf("its old one: %v", err)
	}
	clock.Advance(5 * time.Second)
	if err := s.pair(t.Context(), honest, "s1", t1); !errors.Is(err, session.ErrWrongToken) {
		t.Errorf("its old one, later: %v", err)
	}
}

// A session that another process has terminated costs no probe, whether this one remembers deletions or not.
func TestUpstream_TerminatedElsewhereCostsNoProbe(t *testing.T) {
	t.Parallel()
	for _, remember := range []int{0, 100} {
		clock, r, server := storetest.NewClock(), newRecord(), redistest.Start(t)
		open := func() *copied {
			s := openConfig(t, clock, cache.Config{
				Redis: server.Client(t), Clock: clock.Now, Shards: 1, RememberDeletions: remember,
				Upstream: &cache.Upstream{Ask: r.ask, ProbesPerSecond: 10, Timeout: 5 * time.Second, MaxAge: maxAge, MaxBytes: 16 << 10},
			})
			t.Cleanup(func() { _ = s.Close() })
			return &copied{s, t, clock}
		}
		a, b := open(), open()
		r.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3)), t1)
		if err := b.pair(t.Context(), honest, "s1", t1); err != nil {
			t.Fatal(err)
		}
		if err := a.Terminate(t.Context(), "s1", "terminated"); err != nil {
			t.Fatal(err)
		}
		before, asked := b.UpstreamStats().Probes, r.questions()
		for range 3 {
			if err := b.pair(t.Context(), honest, "s1", t1); !errors.Is(err, session.ErrRevoked) {
				t.Errorf("got %v", err)
			}
		}
		if probes := b.UpstreamStats().Probes - before; probes != 0 || r.questions() != asked {
			t.Errorf("%d probes and %d questions, want none", probes, r.questions()-asked)
		}
		if got := b.FailoverStats().Remembered; got != min(remember, 1) {
			t.Errorf("%d are remembered", got)
		}
	}
}
