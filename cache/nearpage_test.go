package cache

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// pageOf searches for the user's sessions of an agent until the page is kept, and returns what asks for the page again: its
// session IDs, and whether it was kept.
func pageOf(p *nearProcess, user, agent string) func() ([]session.ID, bool) {
	p.t.Helper()
	q := &index.Query{Predicates: []index.Predicate{index.ByUser(user), index.ByAgent(agent)}, Sees: index.Sees{All: true}, Limit: 10, Ascending: true}
	key := []byte(user + "/" + agent)
	for range 2 { // the second finds copies alone
		if _, err := p.SearchAs(p.t.Context(), q, key); err != nil {
			p.t.Fatal(err)
		}
	}
	return func() ([]session.ID, bool) {
		page, ok := p.Page(key)
		if !ok {
			return nil, false
		}
		ids := make([]session.ID, len(page.Sessions))
		for i, s := range page.Sessions {
			ids[i] = s.ID
		}
		if page.At > p.Now() || page.Total != uint64(len(ids)) {
			p.t.Errorf("%+v, now %d", page, p.Now())
		}
		return ids, true
	}
}

func sessionAt(id, user, agent string, sequence uint64) *session.Session {
	s := sessionOf(id, user, sequence)
	s.UserAgent = session.UserAgent{FingerprintID: &agent}
	return s
}

// A page that was kept answers until anything changes that it was chosen from, whoever changes it: a session that it has, one that
// it was chosen from without being on it, and the list of the user's sessions. (I3, I4)
func TestI3_AKeptPageEndsWithWhatItIsMadeOf(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		for _, name := range []string{"another process", "this process"} {
			server := redistest.Start(t)
			p := startNear(t, server.Client(t), 1)
			b := p
			if name == "another process" {
				b = startNear(t, server.Client(t), 1)
			}
			p.put(sessionAt("1", "u", "phone", 1))
			p.put(sessionAt("2", "u", "laptop", 1))
			b.settle()
			sequence := uint64(1)
			f := func(what string, write func(), want ...session.ID) {
				t.Helper()
				again := pageOf(b, "u", "phone")
				before, ok := again()
				if !ok || !slices.Contains(before, "1") {
					t.Fatalf("%s, before %s: %v, %v", name, what, before, ok)
				}
				if p == b {
					write()
				} else {
					b.during("invalidation", write)
					b.settle()
				}
				if got, ok := again(); ok {
					t.Errorf("%s, after %s: still %v", name, what, got)
				}
				b.settle() // Redis tells a process of its own writes, too
				got, ok := pageOf(b, "u", "phone")()
				if !ok || !slices.Equal(got, want) {
					t.Errorf("%s, after %s: %v, %v, want %v", name, what, got, ok, want)
				}
			}
			put := func(s *session.Session) func() {
				sequence++
				s.Sequence = sequence
				return func() { p.put(s) }
			}
			f("a change of its session", put(sessionAt("1", "u", "phone", 0)), "1")
			f("a change of one that is not on it", put(sessionAt("2", "u", "phone", 0)), "1", "2")
			f("a new session", put(sessionAt("3", "u", "phone", 0)), "1", "2", "3")
			f("a deletion", func() { p.delete("2") }, "1", "3")
			f("a session that becomes another user's", put(sessionAt("3", "v", "phone", 0)), "1")
		}
	})
}

// It ends when a session does that it was chosen from. (I1)
func TestI1_AKeptPageEndsWithItsSessions(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		var now atomic.Int64
		now.Store(time.Now().UnixMicro()) // Redis ends sessions by its own clock, too
		p := openNear(t, Config{
			Redis: redistest.Start(t).Client(t), Shards: 1, NearBytes: 16 << 20, NearStaleness: testBound,
			Clock: func() session.Time { return session.Time(now.Load()) },
		})
		p.run()
		p.await("the near cache is usable", p.usable)
		p.put(sessionAt("1", "u", "phone", 1))
		other := sessionAt("2", "u", "laptop", 1)
		other.ExpirationDate = session.Time(now.Load()).Add(time.Hour)
		p.put(other)
		p.settle()
		again := pageOf(p, "u", "phone")
		now.Store(int64(other.ExpirationDate) - 1)
		if got, ok := again(); !ok || len(got) != 1 {
			t.Errorf("before: %v, %v", got, ok)
		}
		now.Store(int64(other.ExpirationDate))
		if got, ok := again(); ok {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// It is used only while it is proven that nothing was missed, and not over a gap. (I4)
func TestI4_AKeptPageNeedsAProof(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a := startNear(t, server.Client(t), 1)
		b := startNear(t, server.Client(t), 1, through(proxy))
		a.put(sessionAt("1", "u", "phone", 1))
		b.settle()
		again := pageOf(b, "u", "phone")
		if _, ok := again(); !ok {
			t.Fatal("it was not kept")
		}
		proxy.Stall(true)
		a.delete("1")
		b.pass(testBound)
		if got, ok := again(); ok {
			t.Errorf("beyond the bound: %v", got)
		}
		proxy.Stall(false)
		b.during("down", proxy.CutAll)
		b.await("a new link", func() bool { b.retry(); return b.usable() })
		if got, ok := again(); ok {
			t.Errorf("of another epoch: %v", got)
		}
	})
}

// Only pages of a user's sessions that come from copies alone are kept: none with a cursor, none that masters must answer, and none
// whose list names a session that is not there.
func TestNear_PagesThatAreNotKept(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		p := startNear(t, redistest.Start(t).Client(t), 1)
		p.put(sessionAt("1", "u", "phone", 1))
		p.settle()
		for name, q := range map[string]*index.Query{
			"with a cursor":  {Predicates: []index.Predicate{index.ByUser("u")}, Cursor: &index.Candidate{}},
			"of the masters": {Predicates: []index.Predicate{index.ByUser("u")}, Reads: index.ReadMasters},
			"of no user":     {Predicates: []index.Predicate{index.ByAgent("phone")}},
			"of everybody":   {},
		} {
			q.Sees, q.Limit = index.Sees{All: true}, 10
			for range 3 {
				if page, err := p.SearchAs(t.Context(), q, []byte(name)); err != nil || len(page.Sessions) != 1 {
					t.Fatalf("%s: %+v, %v", name, page, err)
				}
				if page, ok := p.Page([]byte(name)); ok {
					t.Errorf("%s: %+v", name, page)
				}
			}
		}
		// An entry of the list without its session.
		key := p.keys.User("u")
		if err := p.rdb.ZAdd(t.Context(), key, redis.Z{Score: 1, Member: "gone"}).Err(); err != nil {
			t.Fatal(err)
		}
		p.settle()
		if ids, ok := pageOf(p, "u", "phone")(); ok {
			t.Errorf("with a session that is not there: %v", ids)
		}
	})
}

// A page that has outlived its copies, which were driven out, ends when the caller has been told something newer, before Redis'
// message has come. (I4)
func TestI4_AKeptPageIsNoOlderThanWhatWasRead(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		for name, read := range map[string]func(b *nearProcess) error{
			"by a writer": func(b *nearProcess) error { _, err := b.GetFresh(t.Context(), "2"); return err },
			"by a reader": func(b *nearProcess) error { _, err := b.Get(t.Context(), "2"); return err },
			"by a costly search": func(b *nearProcess) error {
				_, _, err := b.near.Sessions(t.Context(), []index.Candidate{{ID: "2"}}, false, nil, func(ctx context.Context, _ batch.Doer, ids []session.ID) ([]*session.Stored, error) {
					return b.readAll(ctx, b.searchReads, ids)
				})
				return err
			},
		} {
			a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
			a.put(sessionAt("1", "u", "phone", 1))
			a.put(sessionAt("2", "u", "laptop", 1))
			b.settle()
			again := pageOf(b, "u", "phone")
			if got, ok := again(); !ok || len(got) != 1 {
				t.Fatalf("%v, %v", got, ok)
			}
			b.near.Evict()
			if _, ok := again(); !ok {
				t.Fatal("the page needs its copies")
			}
			proxy.Stall(true)
			a.put(sessionAt("2", "u", "phone", 2))
			if err := read(b); err != nil {
				t.Fatal(err)
			}
			if got, ok := again(); ok {
				t.Errorf("%s: session 2 has changed, and the page still has %v", name, got)
			}
			proxy.Stall(false)
			a.delete("1")
			a.delete("2")
			server.Client(t).FlushAll(t.Context())
		}
	})
}
