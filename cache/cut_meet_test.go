package cache_test

import (
	"context"
	"errors"
	"fmt"
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

// meetings are what happens between two steps of an operation, done by
// another process. Their outcome may be a conflict.
var meetings = []struct {
	name string
	run  func(ctx context.Context, s *cutStore, store *cache.Store) error
}{
	{"create", func(ctx context.Context, s *cutStore, store *cache.Store) error {
		return store.Put(ctx, storetest.New("1", s.Now(), append(ada, storetest.Sequence(9))...), nil)
	}},
	{"create another's", func(ctx context.Context, s *cutStore, store *cache.Store) error {
		return store.Put(ctx, storetest.New("1", s.Now(), append(bob, storetest.Sequence(9))...), nil)
	}},
	{"set", func(ctx context.Context, s *cutStore, store *cache.Store) error {
		old, err := store.GetFresh(ctx, "1")
		if err != nil {
			return err
		}
		next, err := session.ParseDoc(old.Doc)
		if err != nil {
			return err
		}
		next.Creator, next.Token, next.TokenForeign = old.Creator, old.Token, old.TokenForeign
		next.Sequence++
		next.Metadata = map[string][]byte{"set": []byte("meanwhile")}
		return store.Put(ctx, next, old)
	}},
	{"replace", put(9, append(bob, storetest.Agent("tablet"))...)},
	{"delete", remove},
	{"delete and create", func(ctx context.Context, s *cutStore, store *cache.Store) error {
		if err := remove(ctx, s, store); err != nil {
			return err
		}
		return put(9, ada...)(ctx, s, store)
	}},
	{"sweep", sweep},
	{"two minutes and a sweep", func(ctx context.Context, s *cutStore, store *cache.Store) error {
		s.clock.Advance(2 * time.Minute)
		return sweep(ctx, s, store)
	}},
	{"its end, a sweep and create", func(ctx context.Context, s *cutStore, store *cache.Store) error {
		s.clock.Advance(2 * time.Hour)
		if err := sweep(ctx, s, store); err != nil {
			return err
		}
		return put(9, ada...)(ctx, s, store)
	}},
}

// Two writers of one session, one of them stopped between any two of its
// steps while the other does all of its own: whoever wins, the live session
// has all its entries, and nothing else is left in the end. The stopped writer
// goes on, or it loses the reply of its last step, and repeats that.
func TestI5_WritersMeet(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		isDone := testdepth.OneIn(t, 4)
		for i, o := range operations {
			for j, m := range meetings {
				for k, lossy := range []bool{false, true} {
					if !isDone(i + j + 2*k + shards/4) {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/reply lost=%v", o.name, m.name, lossy), func(t *testing.T) {
						meetEverywhere(t, c, &o, m.run, lossy)
					})
				}
			}
		}
	})
}

func meetEverywhere(t *testing.T, c *cutServer, o *operation, meet func(context.Context, *cutStore, *cache.Store) error, lossy bool) {
	for trip := 1; ; trip++ {
		s := c.open(t)
		o.prepare(t, s)
		met, before := false, s.Now()
		at := func(n int, _ []redis.Cmder) error {
			if n != trip {
				return nil
			}
			met = true
			if err := meet(t.Context(), s, s.Store); !answered(err) {
				t.Errorf("stopped at trip %d, the other: %v", trip, err)
			}
			if lossy {
				return redistest.ErrCut
			}
			return nil
		}
		if lossy {
			s.faults.Arm(redistest.Cut{After: at})
		} else {
			s.faults.Arm(redistest.Cut{Before: at})
		}
		err := o.run(t.Context(), s, s.frail)
		s.faults.Arm(redistest.Cut{})
		t.Logf("stopped at trip %d: %v", trip, err) // shown if the test fails
		// A write that takes longer than a minute may be given up.
		late := s.Now() > before
		if !answered(err) && !((lossy || late) && errors.Is(err, session.ErrUnavailable)) {
			t.Errorf("stopped at trip %d: %v", trip, err)
		}
		s.audit(t, false)
		s.clock.Advance(2 * time.Minute)
		s.sweep(t)
		s.audit(t, true)
		if t.Failed() || !met {
			return
		}
	}
}

// answered says that a write was done, or refused because of another.
func answered(err error) bool {
	return err == nil || errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrDeleted)
}

// The sweeper has read the card of a session that ended. Before it removes
// anything, the session is put again. Then it goes on.
func TestI5_PutAgainAfterExpiry(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		for name, parts := range map[string][]storetest.Part{
			"all the same": append(ada, storetest.Expires(session.Never)),
			"another's":    bob,
		} {
			t.Run(name, func(t *testing.T) {
				s := c.open(t)
				created := storetest.Created(s.Now())
				first(t, s)
				s.clock.Advance(2 * time.Hour)
				var again atomic.Bool // shards are swept at the same time
				s.faults.Arm(redistest.Cut{Before: func(_ int, cmds []redis.Cmder) error {
					if cmds[0].Name() != "evalsha" || !again.CompareAndSwap(false, true) {
						return nil
					}
					return s.Put(t.Context(), storetest.New("1", s.Now(), append(parts, created)...), nil)
				}})
				if _, err := s.frail.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !again.Load() {
					t.Fatal("the sweeper had nothing to remove")
				}
				s.audit(t, true)
				s.has(t, 1)
			})
		}
	})
}

// A put is done, its reply is lost, and the session is deleted before it is repeated: neither "done" nor "refused" would be
// true for sure.
func TestI2_PutThatLostItsReplyMeetsADeletion(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		for name, before := range map[string]uint64{"create": 0, "replace": 1} {
			t.Run(name, func(t *testing.T) {
				s := c.open(t)
				if before > 0 {
					if err := put(before, ada...)(t.Context(), s, s.Store); err != nil {
						t.Fatal(err)
					}
				}
				met := false
				s.faults.Arm(redistest.Cut{After: func(_ int, cmds []redis.Cmder) error {
					if met || cmds[0].Name() != "evalsha" {
						return nil
					}
					if text, err := cmds[0].(*redis.Cmd).Text(); err != nil || text != "ok" {
						return nil
					}
					met = true
					if err := remove(t.Context(), s, s.Store); err != nil {
						t.Error(err)
					}
					return redistest.ErrCut
				}})
				err := put(5, ada...)(t.Context(), s, s.frail)
				s.faults.Arm(redistest.Cut{})
				if !met || !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("got %v, deleted meanwhile: %v", err, met)
				}
				if _, err := s.GetFresh(t.Context(), "1"); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("it has come back: %v", err)
				}
			})
		}
	})
}

// A reply is lost on a real connection: the write is repeated by the store,
// and done once.
func TestI5_LostReplyIsRepeated(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		frail := server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr })
		faults := new(redistest.Faults)
		frail.AddHook(faults)
		c := &cutServer{well: socketClient(t, server), frail: frail, faults: faults, shards: shards}
		for _, o := range operations[:5] {
			t.Run(o.name, func(t *testing.T) {
				s := c.open(t)
				o.prepare(t, s)
				dropped := false
				s.faults.Arm(redistest.Cut{Before: func(_ int, cmds []redis.Cmder) error {
					if !dropped && cmds[0].Name() == "evalsha" {
						dropped = true
						proxy.DropReplies()
					}
					return nil
				}})
				if err := o.run(t.Context(), s, s.frail); err != nil {
					t.Fatal(err)
				}
				if !dropped {
					t.Fatal("no reply was lost")
				}
				s.settles(t, "its reply was lost", &o, true, false)
			})
		}
	})
}
