package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// everything is a revocation of all sessions.
func everything() cache.Revocation {
	return cache.Revocation{Query: &index.Query{Sees: index.Sees{All: true}}, Reason: "revoked"}
}

// putMany stores n sessions, "0", "1", …, a microsecond apart.
func (s *testStore) putMany(t *testing.T, n int, parts ...storetest.Part) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			created := storetest.Created(s.Now() + session.Time(i))
			return s.Put(t.Context(), storetest.New(session.ID(strconv.Itoa(i)), s.Now(), append([]storetest.Part{created}, parts...)...), nil)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (s *testStore) total(t *testing.T) uint64 {
	t.Helper()
	p, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Total
}

// A revocation that is cut at any of its round trips says how many it has
// revoked at least; when it is called again it goes on, and nothing is left.
func TestI5_RevokeCutAnywhere(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		const sessions = 20
		for _, cut := range cuts {
			t.Run(cut.name, func(t *testing.T) {
				for trip, fired := 1, true; fired; trip++ {
					s := c.open(t)
					s.putMany(t, sessions, ada[0], ada[1], ada[2])
					s.faults.Arm(cut.at(trip))
					n, err := s.frail.Revoke(t.Context(), everything())
					fired = s.faults.Fired()
					left := s.total(t)
					switch {
					case err == nil && (n != sessions || left > 0):
						t.Fatalf("cut at trip %d: %d revoked, %d left", trip, n, left)
					case err != nil && (!fired || !errors.Is(err, session.ErrUnavailable) || n+left > sessions):
						t.Fatalf("cut at trip %d: %d revoked, %d left, %v", trip, n, left, err)
					}
					s.audit(t, false)
					if n, err := s.Revoke(t.Context(), everything()); err != nil || n != left {
						t.Fatalf("cut at trip %d, once more: %d, %v, want %d", trip, n, err, left)
					}
					s.clock.Advance(2 * time.Minute)
					s.sweep(t)
					s.audit(t, true)
				}
			})
		}
	})
}

// One that is cancelled in the middle has counted every session that it has deleted.
func TestRevokeIsCancelled(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		s := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		s.putMany(t, 700)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var asked atomic.Int64
		r := everything()
		r.May = func(*session.Facts) bool {
			if asked.Add(1) == 400 {
				cancel()
			}
			return true
		}
		n, err := s.Revoke(ctx, r)
		if left := s.total(t); !errors.Is(err, session.ErrUnavailable) || !errors.Is(err, context.Canceled) || n == 0 || n+left != 700 {
			t.Fatalf("%d revoked, %d left, %v", n, left, err)
		}
	})
}

// Two at once, of two processes, revoke each session once.
func TestRevokeTwiceAtOnce(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		s := openEmpty(t, client, shards, storetest.Limits{})
		second := open(t, client, shards, s.clock, storetest.Limits{})
		s.putMany(t, 3000, storetest.User("u", "o"), storetest.Expires(session.Never))
		for _, p := range [][]index.Predicate{
			{index.ByExpiration(index.Dates{Min: s.Now().Add(time.Hour), Max: session.Never}), index.ByCreation(index.Dates{Min: s.Now() + 2000, Max: session.Never})},
			{index.ByUser("u")},
		} {
			before := s.total(t)
			var both [2]uint64
			var group errgroup.Group
			for i, store := range []*cache.Store{s.Store, second.Store} {
				group.Go(func() (err error) {
					r := everything()
					r.Query.Predicates = p
					both[i], err = store.Revoke(t.Context(), r)
					return err
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			if gone := before - s.total(t); gone == 0 || both[0]+both[1] != gone {
				t.Errorf("%v: %d and %d revoked, %d are gone", p, both[0], both[1], gone)
			}
		}
		if n := s.total(t); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

// While sessions are created, set and deleted: those that match from beginning
// to end are revoked, those that do not match any more stay, whoever deletes
// one counts it alone.
func TestRevokeWhileOthersWrite(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		s := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		const sessions = 2000
		s.putMany(t, sessions, storetest.User("u", "o"))
		stop := make(chan struct{})
		var group sync.WaitGroup
		var created, deleted, prolonged, left atomic.Int64
		loop := func(step func(i int) error) {
			group.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if err := step(i); err != nil && !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrNotFound) {
						t.Error(err)
						return
					}
				}
			})
		}
		loop(func(i int) error { // those of another user are none of ours
			created.Add(1)
			return s.Put(t.Context(), storetest.New(session.ID(fmt.Sprint("new", i)), s.Now(), storetest.User("other", "o")), nil)
		})
		loop(func(i int) error {
			old, err := s.GetFresh(t.Context(), session.ID(strconv.Itoa(i*7%sessions)))
			if err != nil {
				return err
			}
			_, err = s.Delete(t.Context(), old, "revoked")
			if err == nil {
				deleted.Add(1)
			}
			return err
		})
		set := func(i int, changed *atomic.Int64, part storetest.Part) error {
			old, err := s.GetFresh(t.Context(), session.ID(strconv.Itoa(i%sessions)))
			if err != nil {
				return err
			}
			next, err := session.ParseDoc(old.Doc)
			if err != nil {
				return err
			}
			next.Creator, next.Sequence = old.Creator, old.Sequence+1
			part(next)
			if err = s.Put(t.Context(), next, old); err == nil {
				changed.Add(1)
			}
			return err
		}
		loop(func(i int) error { return set(i*11, &prolonged, storetest.Expires(s.Now().Add(2*time.Hour))) })
		loop(func(i int) error {
			if i > 50 { // it would be all of them
				return session.ErrNotFound
			}
			return set(i*13, &left, storetest.User("gone over", "o"))
		})
		r := everything()
		r.Query.Predicates = []index.Predicate{index.ByUser("u")}
		n, err := s.Revoke(t.Context(), r)
		close(stop)
		group.Wait()
		if err != nil {
			t.Fatal(err)
		}
		count := func(user string) uint64 {
			p, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Predicates: []index.Predicate{index.ByUser(user)}})
			if err != nil {
				t.Fatal(err)
			}
			return p.Total
		}
		// Another may have deleted one of those that went over.
		if remaining, over := count("u"), count("gone over"); remaining != 0 || n+uint64(deleted.Load())+over != sessions {
			t.Errorf("%d revoked, %d deleted, %d went over (%d are left), %d remain of %d", n, deleted.Load(), left.Load(), over, remaining, sessions)
		}
		if got := count("other"); got != uint64(created.Load()) {
			t.Errorf("%d of %d new ones are left", got, created.Load())
		}
		s.audit(t, false)
	})
}

// Redis goes away in the middle: what is counted is gone, and once it is back
// the rest goes too.
func TestI2_RevokeWhileRedisGoesAway(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		well := openEmpty(t, server.Client(t), shards, storetest.Limits{})
		frail := open(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr }), shards, well.clock, storetest.Limits{})
		well.putMany(t, 1500)
		r := everything()
		r.Progress = func(n uint64) {
			if n > 300 {
				proxy.Refuse(true)
				proxy.CutAll()
			}
		}
		n, err := frail.Revoke(t.Context(), r)
		left := well.total(t)
		if !errors.Is(err, session.ErrUnavailable) || n <= 300 || n+left != 1500 {
			t.Fatalf("%d revoked, %d left, %v", n, left, err)
		}
		well.audit(t, false)
		proxy.Refuse(false)
		more, err := frail.Revoke(t.Context(), everything())
		if err != nil || more != left || well.total(t) != 0 {
			t.Fatalf("%d more, %v, want %d", more, err, left)
		}
	})
}

// I4: what this process has revoked it does not serve, however fresh its copies are.
func TestI4_RevokedIsNotServed(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		s := openEmpty(t, client, shards, storetest.Limits{})
		s, stop := openNear(t, client, shards, s.clock, storetest.Limits{}, rand.IntN(2) == 0)
		defer stop()
		s.putMany(t, 300, storetest.User("u", "o"))
		byUser := []index.Predicate{index.ByUser("u")}
		search := func() uint64 {
			p, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Predicates: byUser, Limit: 300})
			if err != nil {
				t.Fatal(err)
			}
			return p.Total
		}
		for range 2 {
			if n := search(); n != 300 {
				t.Fatalf("%d sessions", n)
			}
		}
		if s.NearStats().Sessions.Hits == 0 {
			t.Fatal("nothing was answered from copies")
		}
		r := everything()
		r.Query.Predicates = byUser
		r.Except = []session.ID{"7"}
		if n, err := s.Revoke(t.Context(), r); err != nil || n != 299 {
			t.Fatalf("%d, %v", n, err)
		}
		if n := search(); n != 1 {
			t.Errorf("%d sessions are found", n)
		}
		for i := range 300 {
			if _, err := s.Get(t.Context(), session.ID(strconv.Itoa(i))); (err == nil) != (i == 7) {
				t.Errorf("session %d: %v", i, err)
			}
		}
	})
}

// Its cost grows with what it walks, not faster, and no command reads more than
// 250 elements: also where nothing but the walk's own deletes tells where it is,
// because all sessions have one date. (I10)
func TestI10_RevokeReadsInChunks(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		reads := func(sessions int) int {
			s := openEmpty(t, client, shards, storetest.Limits{})
			s.putMany(t, sessions, storetest.Created(s.Now()), storetest.Expires(session.Never))
			var lock sync.Mutex
			trips := 0
			faults := new(redistest.Faults)
			second := redis.NewClient(client.Options())
			defer func() {
				if err := second.Close(); err != nil {
					t.Error(err)
				}
			}()
			second.AddHook(faults)
			counted := openConfig(t, s.clock, cache.Config{Redis: client, Costly: second, Shards: shards, Clock: s.clock.Now})
			faults.Arm(redistest.Cut{After: func(_ int, cmds []redis.Cmder) error {
				lock.Lock()
				defer lock.Unlock()
				trips++
				for _, cmd := range cmds {
					if z, ok := cmd.(*redis.ZSliceCmd); ok && len(z.Val()) > 250 {
						t.Errorf("%v read %d elements", cmd.Args(), len(z.Val()))
					}
				}
				return nil
			}})
			r := everything()
			// Every second one may not be deleted: the walk has to find its place among these.
			r.May = func(f *session.Facts) bool { return f.ID[len(f.ID)-1]%2 == 0 }
			r.Query.Predicates = []index.Predicate{index.ByExpiration(index.Dates{Min: s.Now().Add(time.Hour), Max: session.Never})}
			n, err := counted.Revoke(t.Context(), r)
			if err != nil || n != uint64(sessions/2) {
				t.Fatalf("%d, %v", n, err)
			}
			return trips
		}
		few, many := reads(1000), reads(8000)
		t.Logf("%d and %d round trips", few, many)
		if many > 16*few {
			t.Errorf("8 times the sessions took %d round trips, not hardly more than 8 times %d", many, few)
		}
	})
}
