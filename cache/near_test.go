package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// through sends a process' invalidations through a proxy.
func through(p *redistest.Proxy) func(*redis.Options) {
	return func(o *redis.Options) { o.Addr = p.Addr }
}

func TestNear_AnswersAgainWithoutRedis(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		p := startNear(t, server.Client(t), 1)
		p.put(sessionOf("1", "u", 1))
		p.settle()
		p.want("1", 1, false)
		p.want("1", 1, true)
		if got := p.ofUser("u"); len(got) != 1 {
			t.Fatal(got)
		}
		server.Pause() // what answers now answers without it
		defer server.Resume()
		p.want("1", 1, true)
		if got := p.ofUser("u"); len(got) != 1 || got[0] != "1" {
			t.Error(got)
		}
	})
}

func TestI4_DeleteInOneProcessIsRefusedInTheOther(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		for _, shards := range []int{1, 4} {
			t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
				server := redistest.Start(t)
				a, b := startNear(t, server.Client(t), shards), startNear(t, server.Client(t), shards)
				a.put(sessionOf("1", "u", 1))
				a.put(sessionOf("2", "u", 1))
				b.settle()
				b.want("1", 1, false)
				b.want("1", 1, true)
				if got := b.ofUser("u"); len(got) != 2 {
					t.Fatal(got)
				}
				a.delete("1")
				b.settle()
				b.want("1", 0, false)
				if got := b.ofUser("u"); !slices.Equal(got, []session.ID{"2"}) {
					t.Error(got)
				}
				a.put(sessionOf("2", "u", 2))
				b.settle()
				b.want("2", 2, false)
			})
		}
	})
}

// No message is needed for what the process has done itself.
func TestI4_OwnWritesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		p := startNear(t, server.Client(t), 1, through(proxy))
		p.put(sessionOf("1", "u", 1))
		p.put(sessionOf("2", "u", 1))
		p.settle()
		p.want("1", 1, false)
		p.want("1", 1, true)
		if got := p.ofUser("u"); len(got) != 2 {
			t.Fatal(got)
		}
		proxy.Stall(true)
		p.put(sessionOf("1", "u", 2))
		p.want("1", 2, false)
		p.put(sessionOf("1", "other", 3))
		if got := p.ofUser("u"); !slices.Equal(got, []session.ID{"2"}) {
			t.Error(got)
		}
		if got := p.ofUser("other"); !slices.Equal(got, []session.ID{"1"}) {
			t.Error(got)
		}
		p.delete("1")
		p.want("1", 0, false)
		if got := p.ofUser("other"); len(got) != 0 {
			t.Error(got)
		}
	})
}

// A write that fails may have happened all the same.
func TestI4_OwnWriteWithoutReplyForgetsToo(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		p := startNear(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr; o.PoolSize = 1 }), 1,
			func(o *redis.Options) { o.Addr = server.Addr })
		p.put(sessionOf("1", "u", 1))
		p.want("1", 1, false)
		old, err := p.GetFresh(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		proxy.Refuse(true)
		proxy.CutAll()
		if _, err := p.Delete(t.Context(), old, "test"); !errors.Is(err, session.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		if !p.usable() {
			t.Fatal("no copy may be used")
		}
		if isByKey(t) { // its link is there
			p.want("1", 1, false)
		} else if s, err := p.Get(t.Context(), "1"); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("a copy is left: %v, %v", s, err)
		}
	})
}

func TestNear_FlushAll(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		b := startNear(t, server.Client(t), 1)
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.ofUser("u")
		b.during("flush", func() {
			if err := server.Client(t).FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		})
		b.want("1", 0, false)
		if got := b.ofUser("u"); len(got) != 0 {
			t.Error(got)
		}
		if !b.usable() {
			t.Error("the near cache is not usable any more")
		}
	})
}

func TestI1_CopyEndsWithItsSession(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		now := session.TimeOf(time.Now())
		var mu sync.Mutex
		at := now
		b := openNear(t, Config{Redis: server.Client(t), NearBytes: 1 << 20, NearStaleness: testBound, Clock: func() session.Time {
			mu.Lock()
			defer mu.Unlock()
			return at
		}})
		b.run()
		b.await("usable", b.usable)
		s := sessionOf("1", "u", 1)
		s.ExpirationDate = now.Add(time.Hour)
		b.put(s)
		b.settle()
		b.want("1", 1, false)
		set := func(t session.Time) {
			mu.Lock()
			defer mu.Unlock()
			at = t
		}
		set(s.ExpirationDate - 1)
		b.want("1", 1, true)
		if got := b.ofUser("u"); len(got) != 1 {
			t.Error(got)
		}
		set(s.ExpirationDate)
		b.want("1", 0, false)
		if got := b.ofUser("u"); len(got) != 0 {
			t.Error(got)
		}
	})
}

// Redis drops a key whose time is over, and says so.
func TestNear_ExpiryInRedisInvalidates(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		b := startNear(t, server.Client(t), 1)
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.during("invalidation", func() {
			if err := server.Client(t).PExpire(t.Context(), b.keys.Session("1"), time.Millisecond).Err(); err != nil {
				t.Fatal(err)
			}
		})
		b.await("it is forgotten", func() bool { return b.NearStats().Sessions.Entries == 0 })
	})
}

func TestNear_UnknownIDs(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a := startNear(t, server.Client(t), 1)
		b := startNear(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr }), 1, func(o *redis.Options) { o.Addr = server.Addr })
		b.want("1", 0, false)
		b.want("1", 0, true)
		for range 4 { // for the bound, and no longer
			b.want("1", 0, true)
			b.prove(testBound / 4)
		}
		b.want("1", 0, false)
		b.want("1", 0, true)
		a.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)

		if isByKey(t) { // its link is there
			return
		}
		proxy.Refuse(true)
		proxy.CutAll()
		if _, err := b.Get(t.Context(), "2"); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("I2: got %v", err)
		}
		proxy.Refuse(false)
		b.want("2", 0, false)
	})
}

func TestNear_ForeignTokens(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1)
		made := sessionOf("1", "u", 1)
		made.Token, made.TokenForeign = session.HashToken("secret"), true
		a.put(made)
		b.settle()
		f := func(id session.ID, hits uint64) {
			t.Helper()
			before := b.NearStats().Tokens.Hits
			s, err := b.GetByToken(t.Context(), "secret")
			if id == "" && err != session.ErrNotFound || id != "" && (err != nil || s.ID != id) {
				t.Errorf("got %v, %v", s, err)
			}
			if got := b.NearStats().Tokens.Hits - before; got != hits {
				t.Errorf("%d answers by a copy, want %d", got, hits)
			}
		}
		f("1", 0)
		f("1", 1)
		newer := sessionOf("2", "u", 1)
		newer.CreationDate++
		newer.Token, newer.TokenForeign = made.Token, true
		a.put(newer)
		b.settle()
		f("2", 0) // the one that was created last
		f("2", 1)
		a.delete("2")
		b.settle()
		f("1", 0)
		a.delete("1")
		b.settle()
		f("", 0)
		f("", 0) // tokens that nobody has are not held
	})
}

func TestNear_FreshGoesPast(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
		a.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.ofUser("u")
		proxy.Stall(true)
		a.delete("1")
		b.want("1", 1, true)
		page, err := b.Search(t.Context(), &index.Query{Predicates: []index.Predicate{index.ByUser("u")}, Sees: index.Sees{All: true}, Limit: 10, Reads: index.ReadMasters})
		if err != nil || page.Total != 0 {
			t.Errorf("got %+v, %v", page, err)
		}
		if got := b.ofUser("u"); len(got) != 1 {
			t.Errorf("from copies: %v", got)
		}
	})
}

// What a process has told once of a session it does not take back, though the invalidation is late.
func TestI4_NothingOlderAfterAFreshAnswer(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
		fresh := func(id session.ID, sequence uint64) {
			t.Helper()
			switch s, err := b.GetFresh(t.Context(), id); {
			case err == session.ErrNotFound && sequence == 0:
			case err != nil || s.Sequence != sequence:
				t.Errorf("session %s: got %+v, %v", id, s, err)
			}
		}
		for _, id := range []session.ID{"deleted", "set", "replaced", "same"} {
			a.put(sessionOf(string(id), "u", 1))
		}
		b.settle()
		for _, id := range []session.ID{"deleted", "set", "replaced", "same"} {
			b.want(id, 1, false)
			b.want(id, 1, true)
		}
		b.want("created", 0, false)
		b.want("created", 0, true)
		proxy.Stall(true)
		a.delete("deleted")
		a.put(sessionOf("set", "u", 2))
		a.put(sessionOf("replaced", "other", 1))
		a.put(sessionOf("created", "u", 1))
		for _, id := range []session.ID{"deleted", "set", "replaced", "same"} {
			b.want(id, 1, true)
		}
		b.want("created", 0, true)
		fresh("deleted", 0)
		b.want("deleted", 0, false)
		fresh("set", 2)
		b.want("set", 2, false)
		fresh("replaced", 1)
		b.want("replaced", 1, false)
		fresh("created", 1)
		b.want("created", 1, false)
		fresh("same", 1)
		b.want("same", 1, true)
	})
}

func TestNear_OffWhereTheServerHasNoTracking(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t, "rename-command CLIENT \"\"")
		b := openNear(t, Config{Redis: server.Client(t), NearBytes: 1 << 20})
		b.run()
		b.put(sessionOf("1", "u", 1))
		b.await("it says so", func() bool { b.pass(0); return len(b.NearStats().State) > 4 && b.NearStats().State[:4] == "off:" })
		b.want("1", 1, false)
		b.want("1", 1, false)
	})
}

// An ACL that forbids what proves a master keeps the near cache from being used, and says so.
func TestNear_NotUsedWithoutProofOfAMaster(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t, "rename-command ROLE \"\"")
		b := openNear(t, Config{Redis: server.Client(t), NearBytes: 1 << 20})
		b.run()
		b.await("it says so", func() bool { return strings.HasPrefix(b.NearStats().State, "not used:") })
		b.put(sessionOf("1", "u", 1))
		b.want("1", 1, false)
		b.want("1", 1, false)
	})
}

// Lists grow and shrink while they are read, over the sizes at which they are
// read otherwise. What stays is there each time, once.
func TestNear_UserListThatGrowsAndShrinksWhileItIsRead(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1)
		var stay []session.ID
		for i := range 240 {
			s := sessionOf(fmt.Sprintf("stay%03d", i), "u", 1)
			s.CreationDate += session.Time(4 * i)
			a.put(s)
			stay = append(stay, s.ID)
		}
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for round := 0; ; round++ {
				var made []session.ID
				for i := range 60 {
					s := sessionOf(fmt.Sprintf("come%d.%d", round, i), "u", 1)
					s.CreationDate += session.Time(i*17%960 + 1)
					if err := a.Put(t.Context(), s, nil); err != nil {
						t.Error(err)
						return
					}
					made = append(made, s.ID)
				}
				for _, id := range made {
					old, err := a.GetFresh(t.Context(), id)
					if err == nil {
						_, err = a.Delete(t.Context(), old, "test")
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		for range 300 {
			got := b.ofUser("u")
			met := map[session.ID]int{}
			for _, id := range got {
				met[id]++
			}
			for _, id := range stay {
				if met[id] != 1 {
					t.Fatalf("%s is there %d times among %d", id, met[id], len(got))
				}
			}
		}
		close(stop)
		writer.Wait()
		b.settle()
		if got := b.ofUser("u"); !slices.Equal(got, stay) {
			t.Errorf("in the end there are %d, not %d", len(got), len(stay))
		}
		if s := b.NearStats(); s.Lists.Hits == 0 || s.Lists.Invalidations == 0 {
			t.Errorf("%+v", s.Lists)
		}
	})
}

// A list of more than a thousand sessions is not held, and searched all the same.
func TestNear_LongListIsNotHeld(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		const longest = 1000
		server := redistest.Start(t)
		b := startNear(t, server.Client(t), 1)
		for i := range longest + 1 {
			b.put(sessionOf(fmt.Sprintf("s%04d", i), "u", 1))
		}
		b.settle()
		search := func() int {
			page, err := b.Search(t.Context(), &index.Query{Predicates: []index.Predicate{index.ByUser("u")}, Sees: index.Sees{All: true}, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			return int(page.Total)
		}
		if got := search(); got != longest+1 {
			t.Errorf("total %d", got)
		}
		list := func() ([]index.Candidate, bool) { // as it is held
			t.Helper()
			hits := b.NearStats().Lists.Hits
			l, ok, err := b.near.List(t.Context(), "u", nil)
			if err != nil || b.NearStats().Lists.Hits != hits+1 {
				t.Errorf("nothing is known of the list: %v", err)
			}
			return l, ok
		}
		if l, ok := list(); ok || len(l) != 0 {
			t.Errorf("the list is held: %v, %+v", ok, l)
		}
		b.delete("s0000")
		b.settle()
		if got := search(); got != longest {
			t.Errorf("total %d", got)
		}
		if l, ok := list(); !ok || len(l) != longest {
			t.Errorf("the list is not held: %v", ok)
		}
	})
}
