package cache

import (
	"errors"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// withToken gives s a token of our own making.
func withToken(s *session.Session) string {
	var token string
	token, s.Token = session.NewToken(s.ID)
	return token
}

// A copy within the bound may have the token before the present one. It does
// not log out whoever comes with that.
func TestVerify_NewTokenPassesAtOnceWhereAnOldCopyIs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
	s := sessionOf("1", "u", 1)
	first := withToken(s)
	a.put(s)
	b.settle()
	if _, err := b.GetByToken(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	proxy.Stall(true) // b hears of nothing, and may use its copy
	next := sessionOf("1", "u", 2)
	second := withToken(next)
	a.put(next)
	for range 2 {
		if _, err := b.GetByToken(t.Context(), second); err != nil {
			t.Errorf("the new token is refused: %v", err)
		}
		if _, err := b.GetByTokenFresh(t.Context(), second); err != nil {
			t.Errorf("the new token is no credential of a write: %v", err)
		}
	}
	proxy.Stall(false)
	b.settle()
	if _, err := b.GetByToken(t.Context(), first); !errors.Is(err, session.ErrWrongToken) || !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the old token: %v", err)
	}
	if _, err := b.GetByTokenFresh(t.Context(), first); !errors.Is(err, session.ErrWrongToken) {
		t.Errorf("the old token, for a write: %v", err)
	}
}

// A session that was put again after a deletion has expired, not been revoked.
func TestVerify_Why(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		server := redistest.Start(t)
		var now session.Time = 1_800_000_000_000_000
		store, err := Open(t.Context(), Config{Redis: server.Client(t), Shards: shards, Clock: func() session.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		verify := func(token string, want error) {
			t.Helper()
			if _, err := store.GetByToken(t.Context(), token); !errors.Is(err, want) || err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%d shards: got %v, want %v", shards, err, want)
			}
		}
		put := func(sequence uint64) string {
			t.Helper()
			s := sessionOf("1", "u", sequence)
			s.ExpirationDate = now.Add(time.Minute)
			token := withToken(s)
			if err := store.Put(t.Context(), s, nil); err != nil {
				t.Fatal(err)
			}
			return token
		}
		token := put(1)
		verify(token, nil)
		old, err := store.GetFresh(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Delete(t.Context(), old, "test"); err != nil {
			t.Fatal(err)
		}
		verify(token, session.ErrRevoked)
		again := put(9)
		verify(token, session.ErrWrongToken)
		verify(again, nil)
		now = now.Add(time.Minute)
		verify(again, session.ErrExpired)
		if _, err := store.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		verify(again, session.ErrRevoked) // the tombstone is what is left
		nobodys, _ := session.NewToken("2")
		verify(nobodys, session.ErrNotFound)
		verify("foreign", session.ErrNotFound)
	}
}

// Stale answers by copies of a link that has ended, with the age of the last
// proof, and by nothing else.
func TestStale(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	rdb := server.Client(t, func(o *redis.Options) { o.Addr, o.DialerRetries = proxy.Addr, 1 })
	p := openNear(t, Config{Redis: rdb, NearBytes: 16 << 20, NearStaleness: testBound, StaleIfError: time.Minute})
	p.run()
	p.await("the near cache is usable", p.usable)
	stale := func(token string, want session.ID, wantAge time.Duration) {
		t.Helper()
		s, age, ok := p.Stale(token)
		if got := session.ID(""); ok {
			got = s.ID
			if got != want || age != wantAge {
				t.Errorf("got session %q, %v old; want %q, %v", got, age, want, wantAge)
			}
		} else if want != "" {
			t.Errorf("got nothing, want session %s, %v old", want, wantAge)
		}
	}
	owned, foreign, deleted, unseen := sessionOf("1", "u", 1), sessionOf("2", "u", 1), sessionOf("3", "u", 1), sessionOf("4", "u", 1)
	token, third, fourth := withToken(owned), withToken(deleted), withToken(unseen)
	foreign.Token, foreign.TokenForeign = session.HashToken("foreign"), true
	for _, s := range []*session.Session{owned, foreign, deleted, unseen} {
		p.put(s)
	}
	p.settle()
	// The first answer to a foreign token finds whose it is, the second its session.
	for _, token := range []string{token, "foreign", "foreign", third} {
		if _, err := p.GetByToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	old, err := p.GetFresh(t.Context(), "3")
	if err != nil {
		t.Fatal(err)
	}
	p.prove(testBound / 4)
	stale(token, "1", 0) // also while the link is there: the caller has asked Redis in vain

	proxy.Refuse(true)
	p.during("down", proxy.CutAll)
	p.clock.Add(int64(10 * time.Second))
	stale(token, "1", 10*time.Second)
	stale("foreign", "2", 10*time.Second)
	stale(third, "3", 10*time.Second)
	stale(fourth, "", 0)
	stale(token+"x", "", 0)
	stale("nobodys", "", 0)
	if _, err := p.Get(t.Context(), "1"); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("I2: Get answers by a stale copy: %v", err)
	}
	// A write that may or may not have happened. (I4)
	if _, err := p.Delete(t.Context(), old, "test"); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	stale(third, "", 0)
	p.clock.Add(int64(50*time.Second) - 1)
	stale(token, "1", time.Minute-1)
	p.clock.Add(1)
	stale(token, "", 0)
	p.clock.Add(-int64(time.Minute))

	// Another link: what was held before it has missed what happened meanwhile.
	proxy.Refuse(false)
	p.during("link", func() { p.pass(time.Second) })
	stale(token, "", 0)
	if stored, err := p.GetByToken(t.Context(), token); err != nil || stored.ID != "1" {
		t.Errorf("got %v, %v", stored, err)
	}
}

// Where it is not asked for, nothing is kept of a link that has ended.
func TestStale_OffByDefault(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	p := startNear(t, server.Client(t), 1, through(proxy))
	s := sessionOf("1", "u", 1)
	token := withToken(s)
	p.put(s)
	p.settle()
	if _, err := p.GetByToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse(true)
	p.during("down", proxy.CutAll)
	if s, _, ok := p.Stale(token); ok {
		t.Errorf("got %v", s)
	}
	if n := p.NearStats().Sessions.Entries; n != 0 {
		t.Errorf("%d copies are kept", n)
	}
	if _, _, ok := (&Store{}).Stale(token); ok {
		t.Error("a store without a near cache answers")
	}
}
