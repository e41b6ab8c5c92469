package cache_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// eachPolicy runs a test for a store of one shard and of several, with both policies.
func eachPolicy(t *testing.T, most int, test func(t *testing.T, shards int, l storetest.Limits)) {
	eachShards(t, func(t *testing.T, shards int) {
		for name, evicts := range map[string]bool{"evict": true, "refuse": false} {
			t.Run(name, func(t *testing.T) {
				test(t, shards, storetest.Limits{MaxSessionsPerUser: most, EvictOldest: evicts})
			})
		}
	})
}

// limitedStores are several processes with one Redis and one clock.
type limitedStores struct {
	stores []*testStore
	clock  *storetest.Clock
	client redis.UniversalClient
	limits storetest.Limits
}

func openLimited(t *testing.T, shards int, l storetest.Limits) *limitedStores {
	t.Helper()
	client := startRedis(t)
	c := &limitedStores{clock: storetest.NewClock(), client: client, limits: l}
	for range 3 {
		c.stores = append(c.stores, open(t, client, shards, c.clock, l))
	}
	return c
}

// allDocs returns what is stored of every session at one instant.
var allDocs = redis.NewScript(`
local docs = {}
for _, key in ipairs(redis.call('KEYS', 'cr:s:*')) do
  docs[#docs + 1] = redis.call('HGET', key, 'doc')
end
return docs`)

// live returns the live sessions of each user at one instant, oldest first.
func (c *limitedStores) live(ctx context.Context) (map[string][]*session.Stored, error) {
	docs, err := allDocs.Run(ctx, c.client, nil).StringSlice()
	if err != nil {
		return nil, err
	}
	now := c.clock.Now() // what is live now was so at that instant
	of := map[string][]*session.Stored{}
	for _, doc := range docs {
		s, err := cache.StoredOf(doc)
		if err != nil {
			return nil, err
		}
		if s.UserID != "" && !s.Due(now) {
			of[s.UserID] = append(of[s.UserID], s)
		}
	}
	for _, sessions := range of {
		slices.SortFunc(sessions, func(a, b *session.Stored) int {
			return cmp.Or(cmp.Compare(a.Creation, b.Creation), cmp.Compare(a.ID, b.ID))
		})
	}
	return of, nil
}

// within says who has more live sessions than allowed at this instant.
func (c *limitedStores) within(ctx context.Context) error {
	of, err := c.live(ctx)
	for user, sessions := range of {
		if len(sessions) > c.limits.MaxSessionsPerUser {
			return fmt.Errorf("user %s has %d live sessions, more than %d", user, len(sessions), c.limits.MaxSessionsPerUser)
		}
	}
	return err
}

// limitedWriter writes sessions of a few users.
type limitedWriter struct {
	*limitedStores
	rng    *rand.Rand
	store  *testStore
	number int
	ids    []session.ID // its own
	did    map[string]int
}

const limitedUsers = 3

// step does one write, and checks after it. Losing to another writer is no fault.
func (w *limitedWriter) step(ctx context.Context) error {
	w.store = w.stores[w.rng.IntN(len(w.stores))]
	what, err := w.write(ctx)
	switch {
	case err == nil:
		w.did[what]++
	case errors.Is(err, session.ErrConflict), errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrDeleted):
		w.did["lost"]++
	case errors.Is(err, session.ErrUserLimit) && !w.limits.EvictOldest:
		w.did["refused"]++
		w.did[what+", refused"]++
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
	return w.within(ctx)
}

func (w *limitedWriter) write(ctx context.Context) (what string, err error) {
	user := storetest.User("u"+strconv.Itoa(w.rng.IntN(limitedUsers)), "o")
	ends := storetest.Expires(w.clock.Now().Add(time.Duration(1+w.rng.IntN(40)) * 50 * time.Millisecond))
	now := w.clock.Now()
	switch n := w.rng.IntN(20); {
	case n < 8:
		w.number++
		id := session.ID(fmt.Sprintf("%d-%d", w.rng.Uint64(), w.number))
		w.ids = append(w.ids, id)
		parts := []storetest.Part{storetest.Created(now - session.Time(w.rng.IntN(1_000_000))), storetest.Agent("a" + strconv.Itoa(w.number%3))}
		if n > 0 {
			parts = append(parts, user)
		}
		if w.rng.IntN(3) == 0 {
			parts = append(parts, ends)
		}
		return "create", w.store.Put(ctx, storetest.New(id, now, parts...), nil)
	case n == 8:
		w.clock.Advance(20 * time.Millisecond)
		return "advance", nil
	case n == 9 && w.rng.IntN(4) == 0:
		_, err := w.store.Sweep(ctx)
		return "sweep", err
	case len(w.ids) == 0:
		return "nothing", nil
	}
	id := w.ids[len(w.ids)-1-w.rng.IntN(min(len(w.ids), 6))]
	old, err := w.store.GetFresh(ctx, id)
	if err != nil {
		return "get", err
	}
	next, err := session.ParseDoc(old.Doc)
	if err != nil {
		return "get", err
	}
	next.Creator, next.Token, next.TokenForeign = old.Creator, old.Token, old.TokenForeign
	next.Sequence++
	switch w.rng.IntN(4) {
	case 0:
		_, err := w.store.Delete(ctx, old, "revoked")
		return "delete", err
	case 1:
		user(next) // sets it, or gives the session to another
		return "set user", w.store.Put(ctx, next, old)
	case 2:
		ends(next)
		return "prolong", w.store.Put(ctx, next, old)
	}
	storetest.Agent("b" + strconv.Itoa(w.rng.IntN(9)))(next)
	return "replace", w.store.Put(ctx, next, old)
}

// Many writers in several processes, on sessions that come, get users, change,
// end and go: no user ever has more than are allowed. When all is quiet, one
// more is let in where there is room, whatever is left of what has ended.
func TestUserLimit_NeverExceeded(t *testing.T) {
	t.Parallel()
	const writers, steps, most = 8, 40, 3
	rounds := testdepth.Of(6, 3)
	eachPolicy(t, most, func(t *testing.T, shards int, l storetest.Limits) {
		c := openLimited(t, shards, l)
		all := make([]*limitedWriter, writers)
		for i := range all {
			all[i] = &limitedWriter{limitedStores: c, rng: rand.New(rand.NewPCG(uint64(i), 7)), did: map[string]int{}}
		}
		for range rounds {
			var busy, checker sync.WaitGroup
			errs := make(chan error, writers+1)
			for _, w := range all {
				busy.Go(func() {
					for range steps {
						if err := w.step(t.Context()); err != nil {
							errs <- err
							return
						}
					}
				})
			}
			var done atomic.Bool
			checker.Go(func() {
				for !done.Load() {
					if err := c.within(t.Context()); err != nil {
						errs <- err
						return
					}
				}
			})
			busy.Wait()
			done.Store(true)
			checker.Wait()
			close(errs)
			for err := range errs {
				t.Fatal(err)
			}
			for user := range limitedUsers {
				c.oneMore(t, "u"+strconv.Itoa(user))
			}
			c.clock.Advance(time.Second)
			c.stores[0].audit(t, false)
		}
		did := map[string]int{}
		for _, w := range all {
			for what, n := range w.did {
				did[what] += n
			}
		}
		t.Log(did)
		for _, what := range []string{"create", "set user", "replace", "prolong", "delete"} {
			if did[what]+did[what+", refused"] == 0 {
				t.Errorf("no writer ever came to %s", what)
			}
		}
		if evicted := c.evicted(); (evicted > 0) != l.EvictOldest || (did["refused"] > 0) == l.EvictOldest {
			t.Errorf("%d were evicted, %d refused", evicted, did["refused"])
		}
		c.clock.Advance(2 * time.Minute)
		c.stores[0].sweep(t)
		c.stores[0].audit(t, true)
	})
}

func (c *limitedStores) evicted() (n uint64) {
	for _, s := range c.stores {
		n += s.Evicted()
	}
	return n
}

// oneMore creates a session of a user while nothing else happens, and checks
// what becomes of that and of the others.
func (c *limitedStores) oneMore(t *testing.T, user string) {
	t.Helper()
	before, err := c.live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := idsOf(before[user])
	id := session.ID(fmt.Sprintf("more-%s-%d", user, c.clock.Now()))
	err = c.stores[len(c.stores)-1].Put(t.Context(), storetest.New(id, c.clock.Now(), storetest.User(user, "o")), nil)
	switch {
	case len(want) < c.limits.MaxSessionsPerUser:
		if err != nil {
			t.Fatalf("one more session of %s, in addition to %v: %v", user, want, err)
		}
		want = append(want, id)
	case c.limits.EvictOldest:
		if err != nil {
			t.Fatal(err)
		}
		want = append(want[1:], id)
	case !errors.Is(err, session.ErrUserLimit):
		t.Fatalf("one more session of %s, in addition to %v: %v, want ErrUserLimit", user, want, err)
	}
	after, err := c.live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := idsOf(after[user]); !slices.Equal(got, want) {
		t.Fatalf("user %s has the sessions %v, want %v", user, got, want)
	}
	c.clock.Advance(time.Microsecond)
}

func idsOf(sessions []*session.Stored) (ids []session.ID) {
	for _, s := range sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

// Concurrent creates of one user, which are repeated when others took their room:
// all are stored, each evicts one at the most, and nobody more than needed.
func TestUserLimit_EvictsNoMoreThanNeeded(t *testing.T) {
	const writers, each = 8, 20
	for _, most := range []int{1, 5} {
		t.Run(fmt.Sprintf("limit=%d", most), func(t *testing.T) {
			eachShards(t, func(t *testing.T, shards int) {
				c := openLimited(t, shards, storetest.Limits{MaxSessionsPerUser: most, EvictOldest: true})
				var number atomic.Int64
				var group sync.WaitGroup
				errs := make(chan error, writers)
				for i := range writers {
					group.Go(func() {
						for range each {
							n := number.Add(1)
							next := storetest.New(session.ID(fmt.Sprintf("%04d", n)), c.clock.Now()+session.Time(n), storetest.User("u", "o"))
							err := session.ErrConflict
							for errors.Is(err, session.ErrConflict) {
								err = c.stores[i%len(c.stores)].Put(t.Context(), next, nil)
							}
							if err == nil {
								err = c.within(t.Context())
							}
							if err != nil {
								errs <- err
								return
							}
						}
					})
				}
				group.Wait()
				close(errs)
				for err := range errs {
					t.Fatal(err)
				}
				of, err := c.live(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(of["u"]) != most || c.evicted() != writers*each-uint64(most) {
					t.Fatalf("%d sessions are left and %d were evicted, of %d", len(of["u"]), c.evicted(), writers*each)
				}
			})
		})
	}
}

// A user that has more than allowed, because the limit is new, keeps them until the
// next one: that is refused, or goes in the place of the oldest. What was created
// in the future goes first.
func TestUserLimit_LimitIsIntroduced(t *testing.T) {
	t.Parallel()
	const many, ahead, most = 700, 300, 5
	eachPolicy(t, most, func(t *testing.T, shards int, l storetest.Limits) {
		c := openLimited(t, shards, l)
		free := open(t, c.client, shards, c.clock, storetest.Limits{})
		start := c.clock.Now()
		var want []session.ID
		for i := range many {
			s := storetest.New(session.ID(fmt.Sprintf("%04d", i)), start+session.Time(i), storetest.User("u", "o"))
			switch {
			case i >= 300 && i < 600: // more than one command reads
				s.ExpirationDate = start.Add(time.Minute)
			case i%2 == 0 && i != 0:
				s.ExpirationDate = start.Add(time.Minute)
			default:
				want = append(want, s.ID)
			}
			if err := free.Put(t.Context(), s, nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range ahead { // more than one command reads
			s := storetest.New(session.ID(fmt.Sprintf("ahead%03d", i)), start.Add(time.Hour)+session.Time(i), storetest.User("u", "o"), storetest.Expires(session.Never))
			if !l.EvictOldest {
				want = append(want, s.ID)
			}
			if err := free.Put(t.Context(), s, nil); err != nil {
				t.Fatal(err)
			}
		}
		c.clock.Advance(time.Minute)
		replaced, err := free.GetFresh(t.Context(), "0001")
		if err != nil {
			t.Fatal(err)
		}
		err = c.stores[0].Put(t.Context(), storetest.New("0001", start+1, storetest.User("u", "o"), storetest.Sequence(2)), replaced)
		if err != nil {
			t.Fatalf("another version of one of too many: %v", err)
		}
		if !l.EvictOldest {
			// In the place of one that has ended it is one more, too.
			err := c.stores[0].Put(t.Context(), storetest.New("0002", start+2, storetest.User("u", "o"), storetest.Expires(session.Never)), nil)
			if !errors.Is(err, session.ErrUserLimit) {
				t.Fatalf("again after its end: %v, want ErrUserLimit", err)
			}
		}
		err = c.stores[0].Put(t.Context(), storetest.New("new", c.clock.Now(), storetest.User("u", "o")), nil)
		if l.EvictOldest {
			want = append(want[len(want)-(most-1):], "new")
		} else if !errors.Is(err, session.ErrUserLimit) {
			t.Fatalf("got %v, want ErrUserLimit", err)
		} else {
			err = nil
		}
		if err != nil {
			t.Fatal(err)
		}
		of, err := c.live(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := idsOf(of["u"]); !slices.Equal(got, want) {
			t.Fatalf("%d sessions are left: %v, want %d: %v", len(got), got, len(want), want)
		}
		c.stores[0].audit(t, false)
		c.stores[0].sweep(t)
		c.stores[0].audit(t, true)
	})
}
