package torture

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// TestLies does to sessions of the real program what must never happen to them, and wants the checker to say so.
func TestLies(t *testing.T) {
	const staleness = 200 * time.Millisecond
	f := func(name, want string, ours string, lie func(t *testing.T, p *pair)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, ours)
			lie(t, p)
			v := p.h.check(&rules{bound: staleness, clock: clockOff})
			if got := strings.Join(v.faults, "\n"); !strings.Contains(got, want) {
				t.Errorf("the checker does not say %q:\n%s", want, got)
			}
		})
	}
	f("a session deleted behind its back", "but it was there", staleness.String(), func(t *testing.T, p *pair) {
		rec := p.other.create("s", "u", true, 0)
		if err := p.server.Client(t).Del(context.Background(), p.key(t, rec)).Err(); err != nil {
			t.Fatal(err)
		}
		p.ours.get(rec, true)
	})
	f("a session brought back behind its back", "not there any more", staleness.String(), func(t *testing.T, p *pair) {
		rec := p.other.create("s", "u", true, 0)
		client := p.server.Client(t)
		dump, err := client.Dump(context.Background(), p.key(t, rec)).Result()
		if err != nil {
			t.Fatal(err)
		}
		p.other.delete(rec)
		if err := client.Restore(context.Background(), p.key(t, rec), 0, dump).Err(); err != nil {
			t.Fatal(err)
		}
		p.ours.get(rec, true)
	})
	f("an older version brought back behind its back", "has the sequence", staleness.String(), func(t *testing.T, p *pair) {
		rec := p.other.create("s", "u", true, 0)
		client := p.server.Client(t)
		dump, err := client.Dump(context.Background(), p.key(t, rec)).Result()
		if err != nil {
			t.Fatal(err)
		}
		p.other.set(rec)
		if err := client.RestoreReplace(context.Background(), p.key(t, rec), 0, dump).Err(); err != nil {
			t.Fatal(err)
		}
		p.other.set(rec)
	})
	f("an entry of a user's list deleted behind its back", "but it was there", staleness.String(), func(t *testing.T, p *pair) {
		rec := p.other.create("s", "u", true, 0)
		if err := p.server.Client(t).Del(context.Background(), p.space(t).User("u")).Err(); err != nil {
			t.Fatal(err)
		}
		p.ours.search(rec.user, false, true)
	})
	// A process with another bound, that hears of nothing, is as one that does not keep its own.
	f("a bound that is not kept", "not there any more", "30s", func(t *testing.T, p *pair) {
		rec := p.other.create("s", "u", true, 0)
		if !eventually.Within(patience, func() bool {
			before, _ := p.ours.to.metric(`cloakroom_near_hits_total{kind="session"}`)
			p.ours.get(rec, false)
			after, _ := p.ours.to.metric(`cloakroom_near_hits_total{kind="session"}`)
			return after > before
		}) {
			t.Fatal("there is no copy")
		}
		p.proxy.Only(redistest.TrackingConnections)
		p.proxy.Stall(true)
		p.other.delete(rec)
		hold(staleness + 10*time.Millisecond)
		if version, _ := p.ours.get(rec, false); version == 0 {
			t.Error("it is not answered from a copy")
		}
		p.proxy.Stall(false)
	})
}

// pair are two processes on one Redis; only the first is behind the proxy.
type pair struct {
	server      *redistest.Server
	proxy       *redistest.Proxy
	h           *history
	ours, other *caller
}

func newPair(t *testing.T, staleness string) *pair {
	t.Helper()
	p := &pair{server: redistest.Start(t), h: newHistory()}
	p.proxy = redistest.NewProxy(t, p.server.Addr)
	p.ours = &caller{p.h, startSidecar(t, 0, "redis://"+p.proxy.Addr+"/0", "--near-cache-staleness", staleness)}
	p.other = &caller{p.h, startSidecar(t, 1, p.server.URL(), "--near-cache-staleness", staleness)}
	return p
}

func (p *pair) space(t *testing.T) *keys.Space {
	t.Helper()
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	return space
}

// key is the Redis key of a session.
func (p *pair) key(t *testing.T, rec *record) string {
	t.Helper()
	if !rec.isAcked() {
		t.Fatal("the session was not created")
	}
	return p.space(t).Session(session.ID(rec.ref()))
}
