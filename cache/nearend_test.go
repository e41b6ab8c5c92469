package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// loginOf is the login of user u in the session kc:1, which began a minute ago.
func (p *nearProcess) loginOf() *session.Login {
	return &session.Login{
		Session: session.EndOfSession("kc:1"), User: session.EndOfUser("kc:u"), Began: p.Now().Add(-time.Minute), Lifetime: time.Hour,
	}
}

// end ends a session, or the logins of a user until now.
func (p *nearProcess) end(name session.EndName) {
	p.t.Helper()
	e := session.End{NotAfter: p.Now(), Until: p.Now().Add(time.Hour)}
	if name[0] != '@' {
		e.NotAfter = session.Never
	}
	if _, err := p.End(p.t.Context(), name, e); err != nil {
		p.t.Fatal(err)
	}
}

// ended checks whether a login has ended, and whether a copy says so.
func (p *nearProcess) ended(l *session.Login, want, copied bool) {
	p.t.Helper()
	if got, known := p.EndedCopy(l); known != copied || known && got != want {
		p.t.Errorf("a copy says %v, %v, want %v, %v", got, known, want, copied)
	}
	if got, err := p.Ended(p.t.Context(), l); got != want || err != nil {
		p.t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestI4_EndInOneProcessIsRefusedInTheOther(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		for _, shards := range []int{1, 4} {
			t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
				server := redistest.Start(t)
				a, b := startNear(t, server.Client(t), shards), startNear(t, server.Client(t), shards)
				for _, name := range []session.EndName{"@kc:u", "kc:1"} {
					l := a.loginOf()
					if name[0] != '@' {
						l.User = session.EndOfUser("kc:v")
					}
					b.ended(l, false, false)
					b.ended(l, false, true)
					a.end(name)
					b.settle()
					b.ended(l, true, false)
					b.ended(l, true, true)
				}
				// What a copy knows is not asked for.
				server.Pause()
				defer server.Resume()
				if got, known := b.EndedCopy(a.loginOf()); !got || !known {
					t.Errorf("a copy says %v, %v", got, known)
				}
			})
		}
	})
}

// The link stays open and says nothing: a login that has ended passes for the bound, and no
// moment longer.
func TestI4_EndWithTheLinkStalled(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
		l := a.loginOf()
		b.settle()
		b.ended(l, false, false)
		proxy.Stall(true)
		a.end(l.User)
		for range 3 {
			b.proveMaster(testBound / 4)
			b.ended(l, false, true)
		}
		b.proveMaster(testBound/4 - 1)
		b.ended(l, false, true)
		b.proveMaster(1)
		b.ended(l, true, false)
		b.during("link", func() { proxy.Stall(false) })
		b.settle()
		b.ended(l, true, false)
		b.ended(l, true, true)
	})
}

// No message is needed for what the process has ended itself, also where the reply is lost.
func TestI4_OwnEndsAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		link, proxy := redistest.NewProxy(t, server.Addr), redistest.NewProxy(t, server.Addr)
		p := startNear(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr; o.PoolSize = 1 }), 1, through(link))
		l := p.loginOf()
		p.settle()
		p.ended(l, false, false)
		p.ended(l, false, true)
		link.Stall(true)
		p.end(l.User)
		if got, err := p.Ended(t.Context(), l); !got || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		link.Stall(false)
		p.settle()
		l.User = session.EndOfUser("kc:v")
		p.ended(l, false, false)
		p.ended(l, false, true)
		proxy.Refuse(true)
		proxy.CutAll()
		if _, err := p.End(t.Context(), l.Session, session.End{NotAfter: session.Never, Until: p.Now().Add(time.Hour)}); !errors.Is(err, session.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		if _, known := p.EndedCopy(l); known {
			t.Error("a copy is left, though it may have ended")
		}
	})
}

// Where it cannot be told whether a login has ended, it is not said to go on.
func TestI2_EndsAreUnknownWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := openNear(t, Config{Redis: server.Client(t), Shards: 1, NearBytes: 16 << 20, NearStaleness: testBound, JWTs: true, StaleIfError: time.Minute})
	p.run()
	p.await("the near cache is usable", p.usable)
	l := p.loginOf()
	p.ended(l, false, false)
	p.ended(l, false, true)
	server.Kill()
	p.await("the link is down", func() bool { return !p.NearStats().Linked })
	if _, known := p.EndedCopy(l); known {
		t.Error("a copy answers without a link")
	}
	if got, err := p.Ended(t.Context(), l); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v, %v", got, err)
	}
	// Who would rather let somebody in may, by what was last known.
	if ended, age, ok := p.EndedStale(l); ended || !ok || age > time.Minute {
		t.Errorf("got %v, %v, %v", ended, age, ok)
	}
	if _, _, ok := p.EndedStale(&session.Login{Session: "kc:1", User: session.EndOfUser("kc:unknown")}); ok {
		t.Error("something is known of a login that nobody has asked for")
	}
	p.clock.Add(int64(time.Minute))
	if _, _, ok := p.EndedStale(l); ok {
		t.Error("what is known is too old")
	}
}

// An end that only the master had is lost with it. The process that noted it refuses its tokens for
// all that, and notes it again, so that the others do soon; so does one that only has read it.
func TestI4_FailoverLosesNoEnd(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			p := startPair(t)
			mine, reads, other := openFailover(t, p.client(), shards, 100, 1), openFailover(t, p.client(), shards, 100, 0), openFailover(t, p.client(), shards, 0, 0)
			for _, s := range []*Store{mine, reads, other} {
				s.SetEndsFor(func(id session.ID) (time.Duration, bool) { return 24 * time.Hour, id == "kc:deleted" })
			}
			mustPut(t, mine, sessionOf("kc:deleted", "kc:ada", 1))
			p.synced()
			p.between.Stall(true)
			now := mine.Now()
			until := now.Add(time.Hour)
			logins := map[string]*session.Login{
				"of a user":         {User: session.EndOfUser("kc:ada"), Began: now},
				"of a session":      {Session: session.EndOfSession("kc:1"), Began: now},
				"deleted":           {Session: session.EndOfSession("kc:deleted"), Began: now},
				"read by the other": {User: session.EndOfUser("kc:eve"), Began: now},
			}
			got, err := mine.End(t.Context(), logins["of a user"].User, session.End{NotAfter: now, Until: until})
			if err != nil || got.Wanted != 1 || !got.Fewer() {
				t.Errorf("the replica hears nothing, but: %+v, %v", got, err)
			}
			mustEnd(t, mine, logins["of a session"].Session, session.End{NotAfter: session.Never, Until: until})
			mustDelete(t, mine, "kc:deleted")
			mustEnd(t, other, logins["read by the other"].User, session.End{NotAfter: now, Until: until})
			if ended, err := reads.Ended(t.Context(), logins["read by the other"]); !ended || err != nil {
				t.Errorf("before: %v, %v", ended, err)
			}
			p.failOver()

			eventually.Holds(t, "another process meets the new master", func() bool {
				ended, err := other.Ended(t.Context(), logins["of a user"])
				return err == nil && !ended
			})
			passes := func(s *Store, name string) bool {
				ended, err := s.Ended(t.Context(), logins[name])
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return !ended
			}
			for _, name := range []string{"of a user", "of a session", "deleted"} {
				if passes(mine, name) {
					t.Errorf("a login %s has ended in this process, and passes", name)
				}
			}
			if passes(reads, "read by the other") {
				t.Error("a login has ended, as this process knows, and passes")
			}
			if err := mine.Put(t.Context(), sessionOf("kc:deleted", "kc:ada", 9), nil); !errors.Is(err, session.ErrEnded) {
				t.Errorf("a session that has ended is put: %v", err)
			}
			for _, s := range []*Store{mine, reads} {
				runStore(t, s)
			}
			for name := range logins {
				eventually.Holds(t, "it is noted again, for all: "+name, func() bool { return !passes(other, name) })
			}
			eventually.Holds(t, "the session is deleted again", func() bool {
				_, err := other.GetFresh(t.Context(), "kc:deleted")
				return errors.Is(err, session.ErrNotFound)
			})
			if err := other.Put(t.Context(), sessionOf("kc:deleted", "kc:ada", 9), nil); !errors.Is(err, session.ErrEnded) {
				t.Errorf("a session that has ended is put elsewhere: %v", err)
			}
		})
	}
}

func mustEnd(t *testing.T, s *Store, name session.EndName, e session.End) {
	t.Helper()
	if _, err := s.End(t.Context(), name, e); err != nil {
		t.Fatal(err)
	}
}

// Nobody asks after the failover: what was lost is noted again all the same, also if Redis
// was thrown back in another way.
func TestI4_LostEndsAreNoticedWithoutReads(t *testing.T) {
	server := redistest.Start(t)
	mine := openFailover(t, server.Client(t), 1, 100, 0)
	server.Client(t).Save(t.Context())
	until := mine.Now().Add(time.Hour)
	for i := range 150 {
		mustEnd(t, mine, session.EndOfUser(fmt.Sprint(i)), session.End{NotAfter: mine.Now(), Until: until})
	}
	server.Kill()
	server.Restart()
	raw := server.Client(t)
	if n := raw.DBSize(t.Context()).Val(); n > 1 {
		t.Fatalf("%d keys are there", n)
	}
	runStore(t, mine)
	// The first 50 were forgotten: no more than 100 are remembered.
	eventually.Holds(t, "100 ends are there again", func() bool {
		keys, err := raw.Keys(context.Background(), mine.keys.Prefix()+"e:*").Result()
		return err == nil && len(keys) == 100
	})
	if ttl := raw.PTTL(t.Context(), mine.keys.End(session.EndOfUser("149"))).Val(); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("one is kept for %v", ttl)
	}
}
