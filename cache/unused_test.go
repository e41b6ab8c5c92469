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

// removes removes what nobody uses, and checks how much that was, and that all that is left fits together.
func (c *copied) removes(want uint64) {
	c.t.Helper()
	before := c.UpstreamStats().Unused
	if err := c.RemoveUnused(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	if got := c.UpstreamStats().Unused - before; got != want {
		c.t.Errorf("%d copies were removed, want %d", got, want)
	}
	if r, found, err := c.audited(c.t.Context(), c.Store, false); err != nil || !r.Clean() {
		c.t.Errorf("an audit finds %v, %v", found, err)
	}
}

// has says whether a copy of a session is stored.
func (c *copied) has(id session.ID) bool {
	c.t.Helper()
	_, err := c.GetFresh(c.t.Context(), id)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		c.t.Fatal(err)
	}
	return err == nil
}

// Copies that nobody has used for as long as they are kept go, with all their entries; those that are used stay, and so
// do tombstones.
func TestI5_UnusedCopiesAreRemovedWithTheirEntries(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		clock, r := storetest.NewClock(), newRecord()
		client := redistest.Start(t).Client(t)
		s := openCopied(t, r, client, clock, shards)
		const n = 260 // more than are read at once
		id := func(i int) session.ID { return session.ID(fmt.Sprint("s", i)) }
		for i := range n {
			r.put(storetest.New(id(i), clock.Now(), storetest.User(fmt.Sprint("u", i%7), "o"), storetest.Agent("a"), storetest.Sequence(3), storetest.Expires(session.Never)), t1)
			if _, err := s.GetWithToken(t.Context(), id(i), t1); err != nil {
				t.Fatal(err)
			}
		}
		r.put(storetest.New("ended", clock.Now(), storetest.Sequence(3), storetest.Expires(session.Never)), "")
		s.is("ended", 3, nil)
		if err := s.Terminate(t.Context(), "ended", "deleted"); err != nil {
			t.Fatal(err)
		}
		clock.Advance(keepFor / 2)
		const used = 10
		for i := range used {
			s.is(id(i), 3, nil)
		}
		clock.Advance(keepFor / 2)
		s.removes(0) // it is not longer ago than that
		clock.Advance(time.Microsecond)
		s.removes(n - used)
		for i := range n {
			if s.has(id(i)) != (i < used) {
				t.Errorf("copy %d is stored: %v", i, i >= used)
			}
		}
		s.is("ended", 0, session.ErrNotFound)
		clock.Advance(keepFor / 2)
		s.removes(used)
		keys, err := client.Keys(t.Context(), "cr:*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if key != "cr:meta" && !strings.HasPrefix(key, "cr:q:") && !strings.HasPrefix(key, "cr:d:") {
				t.Errorf("%s is left", key)
			}
		}
		s.is(id(n-1), 3, nil) // its session lives
	})
}

// A use, of whatever process, that comes between the look at a copy and its removal keeps it.
func TestI3_UseWinsOverTheRemovalOfACopy(t *testing.T) {
	t.Parallel()
	clock, r, server, faults := storetest.NewClock(), newRecord(), redistest.Start(t), &redistest.Faults{}
	client := server.Client(t)
	client.AddHook(faults)
	a, b := openCopied(t, r, client, clock), openCopied(t, r, server.Client(t), clock)
	r.put(storetest.New("s1", clock.Now(), storetest.User("u", "o"), storetest.Sequence(3), storetest.Expires(session.Never)), "")
	a.is("s1", 3, nil)
	clock.Advance(2 * keepFor)
	var once sync.Once
	faults.Arm(redistest.Cut{Before: func(_ int, cmds []redis.Cmder) error {
		if strings.HasPrefix(cmds[0].Name(), "eval") {
			once.Do(func() { b.is("s1", 3, nil) })
		}
		return nil
	}})
	a.removes(0)
	faults.Arm(redistest.Cut{})
	if !b.has("s1") {
		t.Error("a copy that is used was removed")
	}
	asked := r.questions()
	a.is("s1", 3, nil)
	if r.questions() != asked {
		t.Error("the copy does not answer")
	}
}

// Nobody knows when an outdated copy was used. One with a token is asked for first, and goes a while later.
func TestUnused_OutdatedCopies(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	s := openCopied(t, r, redistest.Start(t).Client(t), clock)
	for _, id := range []session.ID{"bare", "token", "gone"} {
		r.put(storetest.New(id, clock.Now(), storetest.Sequence(3), storetest.Expires(session.Never)), t1)
	}
	r.put(storetest.New("token", clock.Now(), storetest.Sequence(3), storetest.Expires(session.Never)), t2)
	s.is("bare", 3, nil)
	for id, token := range map[session.ID]string{"token": t2, "gone": t1} {
		if _, err := s.GetWithToken(t.Context(), id, token); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(2 * keepFor)
	outdate := func(id session.ID) {
		t.Helper()
		if err := s.Outdate(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []session.ID{"bare", "token", "gone"} {
		outdate(id)
	}
	r.setAway(true)
	asked := r.questions()
	s.removes(1)
	if s.has("bare") || !s.has("token") || !s.has("gone") {
		t.Error("what cannot be asked for now must stay, and what has no token go")
	}
	if got := r.questions() - asked; got != 1 {
		t.Errorf("an upstream that is away was asked %d times", got)
	}
	r.setAway(false)
	r.delete("gone")
	s.removes(0)
	if s.has("gone") {
		t.Error("what there is no more is left")
	}
	if got, err := s.GetByToken(t.Context(), t2); err != nil || got.ID != "token" {
		t.Errorf("%v, %v: its token is not known any more", got, err)
	}
	clock.Advance(keepFor + time.Microsecond)
	s.removes(1)
	if s.has("token") {
		t.Error("it is left")
	}
}

// Run removes them.
func TestUnused_Run(t *testing.T) {
	t.Parallel()
	clock, r := storetest.NewClock(), newRecord()
	store := openConfig(t, clock, cache.Config{
		Redis: redistest.Start(t).Client(t), Clock: clock.Now, Shards: 1,
		Upstream: &cache.Upstream{Ask: r.ask, Timeout: 5 * time.Second, MaxAge: 10 * time.Millisecond, MaxBytes: 16 << 10, Keep: 80 * time.Millisecond},
	})
	s := &copied{store, t, clock}
	r.put(storetest.New("s1", clock.Now(), storetest.Sequence(3), storetest.Expires(session.Never)), "")
	s.is("s1", 3, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	clock.Advance(time.Second)
	eventually.Holds(t, "the copy is removed", func() bool { return !s.has("s1") })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
