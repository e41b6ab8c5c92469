package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// halves is a store whose operation is held at one of its round trips, until it
// is let go on or dies there.
type halves struct {
	*cache.Store
	faults *redistest.Faults
	at     int        // the trip
	held   chan bool  // gets one value when the operation is held, or has ended
	goOn   chan bool  // whether it lives on
	ended  chan error // its outcome
	halted bool
}

// start runs the operation until it is held, or has ended.
func (h *halves) start(ctx context.Context, run func(context.Context, *cache.Store) error) {
	h.held, h.goOn, h.ended = make(chan bool, 1), make(chan bool), make(chan error, 1)
	var died atomic.Bool // a sweep makes round trips side by side
	h.faults.Arm(redistest.Cut{Before: func(n int, _ []redis.Cmder) error {
		if n == h.at {
			h.held <- true
			died.Store(!<-h.goOn)
		}
		if died.Load() {
			return redistest.ErrCut
		}
		return nil
	}})
	go func() {
		h.ended <- run(ctx, h.Store)
		select {
		case h.held <- false:
		default:
		}
	}()
	h.halted = <-h.held
}

// finish lets it go on, or die, and returns its outcome.
func (h *halves) finish(lives bool) error {
	if h.halted {
		h.goOn <- lives
	}
	h.halted = false
	return <-h.ended
}

// limitMeetings are what meets a create of a user who has as many sessions as
// are allowed: "1" is the oldest, "2" the next; "3" is nobody's and "4" ends in
// a minute.
var limitMeetings = []struct {
	name string
	run  func(ctx context.Context, s *cache.Store) error
}{
	{"create", func(ctx context.Context, s *cache.Store) error {
		return s.Put(ctx, storetest.New("6", s.Now(), ada...), nil)
	}},
	{"set the user", change("3", storetest.User("ada", "o1"))},
	{"replace", change("1", storetest.Agent("tablet"))},
	{"replace the youngest", change("2", storetest.Agent("tablet"))},
	{"take the user away", change("1", storetest.User("bob", "o1"))},
	{"prolong", change("1", storetest.Expires(session.Never))},
	{"delete", func(ctx context.Context, s *cache.Store) error {
		old, err := s.GetFresh(ctx, "1")
		if err == nil {
			_, err = s.Delete(ctx, old, "revoked")
		}
		return err
	}},
	{"sweep", func(ctx context.Context, s *cache.Store) error {
		_, err := s.Sweep(ctx)
		return err
	}},
}

// change replaces a session by one with other parts.
func change(id session.ID, parts ...storetest.Part) func(context.Context, *cache.Store) error {
	return func(ctx context.Context, s *cache.Store) error {
		old, err := s.GetFresh(ctx, id)
		if err != nil {
			return err
		}
		next, err := session.ParseDoc(old.Doc)
		if err != nil {
			return err
		}
		next.Creator, next.Token, next.TokenForeign = old.Creator, old.Token, old.TokenForeign
		next.Sequence++
		for _, part := range parts {
			part(next)
		}
		return s.Put(ctx, next, old)
	}
}

// A create at the limit meets another write, which does one half before one of
// the create's steps and the other half before a later one, or dies between
// them: wherever they meet, nobody has more sessions than allowed. What a died
// writer left behind counts for a minute at most, and then disappears.
func TestUserLimit_WritersMeet(t *testing.T) {
	t.Parallel()
	eachPolicy(t, 2, func(t *testing.T, shards int, l storetest.Limits) {
		server := startCutServer(t, shards)
		other := redistest.Faults{}
		third := redis.NewClient(server.well.Options())
		third.AddHook(&other)
		t.Cleanup(func() {
			if err := third.Close(); err != nil {
				t.Error(err)
			}
		})
		isDone := testdepth.OneIn(t, 4)
		for i, m := range limitMeetings {
			for j, dies := range []bool{false, true} {
				if !isDone(i + 2*j + shards/4 + policy(l)) {
					continue
				}
				t.Run(fmt.Sprintf("%s/dies=%v", m.name, dies), func(t *testing.T) {
					most := 1 // trips of the create; known when it has been done
					cases := 0
					defer func() { t.Logf("%d cases, %d trips", cases, most) }()
					for at := 1; ; at++ {
						halted := false
						for first := 1; first <= most; first++ {
							for _, second := range []int{first, first + 1, first + 3, first + 6, most + 1} {
								if second > most+1 || dies && second > first || !dies && (first+second+at)%9 > 0 {
									continue // enough is enough; when exactly it dies makes no difference
								}
								cases++
								c := &limitedStores{client: server.well, limits: l}
								s := openEmpty(t, server.well, shards, l)
								c.clock, c.stores = s.clock, []*testStore{s}
								h := &halves{Store: open(t, third, shards, s.clock, l).Store, faults: &other, at: at}
								trips := c.meet(t, server, h, m.run, first, second, !dies)
								halted = halted || trips.halted
								most = max(most, trips.n)
							}
						}
						if !halted {
							return
						}
					}
				})
			}
		}
	})
}

// policy numbers the policies, so that other cases are done with each.
func policy(l storetest.Limits) int {
	if l.EvictOldest {
		return 1
	}
	return 0
}

type met struct {
	n      int  // trips of the create
	halted bool // the other was held, not done at once
}

// meet lets a create meet the two halves of another write.
func (c *limitedStores) meet(t *testing.T, server *cutServer, h *halves, run func(context.Context, *cache.Store) error, first, second int, lives bool) (m met) {
	t.Helper()
	s := c.stores[0]
	ctx := t.Context()
	within := func(when string) {
		t.Helper()
		if err := c.within(ctx); err != nil {
			t.Fatalf("held at %d, halves before %d and %d: %s: %v", h.at, first, second, when, err)
		}
	}
	start := s.Now()
	ends := storetest.Expires(start.Add(time.Minute))
	for _, one := range []*session.Session{
		storetest.New("4", start-3, append(slices.Clone(ada), ends)...),
		storetest.New("1", start-2, ada...),
		storetest.New("3", start-9, bob[1]),
	} {
		if err := s.Put(ctx, one, nil); err != nil {
			t.Fatal(err)
		}
	}
	s.clock.Advance(time.Minute)
	if err := s.Put(ctx, storetest.New("2", start-1, ada...), nil); err != nil {
		t.Fatal(err)
	}
	started, finished := false, false
	var outcome error
	finish := func() {
		outcome, finished = h.finish(lives), true
		within("the other has ended")
	}
	frail := open(t, server.frail, s.Shards(), s.clock, c.limits)
	c.stores = append(c.stores, frail)
	server.faults.Arm(redistest.Cut{Before: func(n int, _ []redis.Cmder) error {
		if n == first {
			started = true
			h.start(ctx, run)
			m.halted = h.halted
			within("the other has begun")
		}
		if n == second && started {
			finish()
		}
		return nil
	}})
	err := frail.Put(ctx, storetest.New("5", s.Now(), ada...), nil)
	m.n = server.faults.Trips()
	server.faults.Arm(redistest.Cut{})
	within("the create has ended")
	if err != nil && !errors.Is(err, session.ErrConflict) && (c.limits.EvictOldest || !errors.Is(err, session.ErrUserLimit)) {
		t.Fatalf("held at %d, halves before %d and %d: the create: %v", h.at, first, second, err)
	}
	if started && !finished {
		finish()
	}
	if !answered(outcome) && !errors.Is(outcome, session.ErrUserLimit) && lives {
		t.Fatalf("held at %d, halves before %d and %d: the other: %v", h.at, first, second, outcome)
	}
	h.faults.Arm(redistest.Cut{})
	s.audit(t, false)
	// What a writer that died left behind is cleared for a user that needs the room.
	s.clock.Advance(2 * time.Minute)
	c.oneMore(t, "ada")
	s.sweep(t)
	s.audit(t, true)
	return m
}

// A create at the limit that is cut anywhere leaves nobody with more sessions
// than allowed, and can be done again.
func TestUserLimit_CutAnywhere(t *testing.T) {
	t.Parallel()
	eachPolicy(t, 2, func(t *testing.T, shards int, l storetest.Limits) {
		server := startCutServer(t, shards)
		for _, cut := range cuts {
			t.Run(cut.name, func(t *testing.T) {
				for trip := 1; ; trip++ {
					s := openEmpty(t, server.well, shards, l)
					c := &limitedStores{client: server.well, limits: l, clock: s.clock, stores: []*testStore{s}}
					for _, id := range []session.ID{"1", "2"} {
						if err := s.Put(t.Context(), storetest.New(id, s.Now(), ada...), nil); err != nil {
							t.Fatal(err)
						}
						s.clock.Advance(time.Second)
					}
					frail := open(t, server.frail, shards, s.clock, l)
					create := func(store *testStore) error {
						return store.Put(t.Context(), storetest.New("3", s.Now(), ada...), nil)
					}
					server.faults.Arm(cut.at(trip))
					err := create(frail)
					fired := server.faults.Fired()
					server.faults.Arm(redistest.Cut{})
					within := func() {
						t.Helper()
						if err := c.within(t.Context()); err != nil {
							t.Fatalf("cut at trip %d: %v", trip, err)
						}
						s.audit(t, false)
					}
					within()
					if !(fired && errors.Is(err, session.ErrUnavailable)) && (err != nil) == l.EvictOldest {
						t.Fatalf("cut at trip %d: %v", trip, err)
					}
					if err := create(s); !answered(err) && !(errors.Is(err, session.ErrUserLimit) && !l.EvictOldest) {
						t.Fatalf("cut at trip %d, once more: %v", trip, err)
					}
					within()
					s.clock.Advance(2 * time.Minute)
					c.oneMore(t, "ada")
					s.sweep(t)
					s.audit(t, true)
					if !fired {
						return
					}
				}
			})
		}
	})
}
