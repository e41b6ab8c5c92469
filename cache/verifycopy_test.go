package cache

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// A verify by a copy alone lets nobody pass whom GetByToken would not.
func TestI4_VerifyCopy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	now := session.TimeOf(time.Now())
	var at atomic.Int64
	at.Store(int64(now))
	a := startNear(t, server.Client(t), 1)
	b := openNear(t, Config{
		Redis: server.Client(t), NearBytes: 16 << 20, NearStaleness: testBound,
		Clock: func() session.Time { return session.Time(at.Load()) },
	}, through(proxy))
	b.run()
	b.await("the near cache is usable", b.usable)

	lives, ends, foreign := sessionOf("1", "u", 1), sessionOf("2", "u", 1), sessionOf("3", "u", 1)
	ends.ExpirationDate = now.Add(time.Hour)
	token, second := withToken(lives), withToken(ends)
	foreign.Token, foreign.TokenForeign = session.HashToken("foreign"), true
	for _, s := range []*session.Session{lives, ends, foreign} {
		a.put(s)
	}
	b.settle()
	want := func(what, token string, want bool) {
		t.Helper()
		before := b.NearStats().Sessions
		stored, ok := b.VerifyCopy(token)
		if ok != want || ok && !stored.Token.Matches(token) {
			t.Errorf("%s: got %v, want %v", what, ok, want)
		}
		after := b.NearStats().Sessions
		if counted := after.Hits > before.Hits; counted != want || after.Misses != before.Misses {
			t.Errorf("%s: %d hits and %d misses are counted", what, after.Hits-before.Hits, after.Misses-before.Misses)
		}
	}
	want("nobody has loaded it", token, false)
	for _, token := range []string{token, second, "foreign", "foreign"} {
		if _, err := b.GetByToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	want("it is held", token, true)
	want("another secret", token[:len(token)-1]+"-", false)
	want("a token that somebody else made", "foreign", false) // by its hash, which Verify knows
	want("no token", "", false)
	stored, _ := b.VerifyCopy(token)
	if proof, _, err := session.ProofOf(stored.Doc, now); err != nil || stored.Proof == nil || *stored.Proof != proof {
		t.Errorf("a copy proves %v, its document %v, %v", stored.Proof, proof, err)
	}

	at.Store(int64(ends.ExpirationDate) - 1)
	want("it ends in a microsecond", second, true)
	at.Store(int64(ends.ExpirationDate))
	want("it has ended", second, false) // I1
	if _, err := b.GetByToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	want("another lives on", token, true)

	proxy.Stall(true)
	a.delete("1")
	want("invalidations are late", token, true)
	b.clock.Add(int64(testBound))
	want("the proof is as old as the bound", token, false)
	proxy.Stall(false)
	b.settle()
	want("it was deleted", token, false)

	off, err := Open(t.Context(), Config{Redis: server.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := off.VerifyCopy(token); ok {
		t.Error("a store without copies has one")
	}
}
