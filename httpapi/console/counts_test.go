package console

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// A page that is closed does not say so: the next count of its key ends the earlier one. Counts keep nothing from being revoked.
func TestCounts_NextOneReplacesTheEarlier(t *testing.T) {
	f := newFixture(t)
	one, other := f.signIn("admin"), f.signIn("second")
	for range 3 {
		f.logIn("alice", "org-1")
	}
	f.proxy.Stall(true)
	const dry = `{"queries":[{"userIdQuery":{"id":"alice"}}],"dryRun":true}`
	counting := func(b *browser) (answer chan reply) {
		answer = make(chan reply, 1)
		go func() { answer <- b.do("POST", "revocations", dry) }()
		return answer
	}
	under := func(b *browser) *count {
		_, key := f.api.Callers.ByKey([]byte(f.secret[map[*browser]string{one: "admin", other: "second"}[b]]))
		f.console.counts.mu.Lock()
		defer f.console.counts.mu.Unlock()
		return f.console.counts.all[key]
	}
	first, others := counting(one), counting(other)
	var earlier *count
	eventually.Holds(t, "they count", func() bool { earlier = under(one); return earlier != nil && under(other) != nil })
	second := counting(one)
	eventually.Holds(t, "another one counts", func() bool { return under(one) != earlier })
	if r := <-first; r.status != 409 || r.body != `{"code":10,"message":"a later count with the same API key has replaced this one; nothing was revoked; count again"}` {
		t.Errorf("got %d %s", r.status, r.body)
	}
	f.proxy.Stall(false)
	for _, answer := range []chan reply{second, others} {
		if r := <-answer; r.status != 200 || r.body != `{"revoked":"3"}` {
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
	if len(f.console.counts.all) != 0 {
		t.Errorf("%d are kept", len(f.console.counts.all))
	}
}

func TestCounts_HaveADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all counts
		ctx, end := all.begin(t.Context(), keyOf(1))
		defer end()
		<-time.After(longestCount - 1)
		if ctx.Err() != nil {
			t.Error("it has ended before")
		}
		<-time.After(2)
		if context.Cause(ctx) != errCountTooLong {
			t.Errorf("got %v", context.Cause(ctx))
		}
	})
}
