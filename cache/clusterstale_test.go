package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// One master of a Cluster is away, and nobody takes over: copies of its sessions, and of the others', answer for as long
// as is configured, and nothing that was revoked before.
func TestStale_OneMasterOfAClusterIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*redistest.Node){
		"killed": func(n *redistest.Node) { n.Kill() },
		"paused": func(n *redistest.Node) { n.Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			staleCluster(t, away)
		})
	}
}

func staleCluster(t *testing.T, away func(*redistest.Node)) {
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	c.NeverFailOver()
	const limit = time.Minute
	connect := func() *redis.ClusterClient {
		return c.Client(t, func(o *redis.ClusterOptions) {
			o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.DialerRetries = time.Second, time.Second, time.Second, 1
		})
	}
	p := openNear(t, Config{Redis: connect(), Shards: 32, NearBytes: 16 << 20, NearStaleness: testBound, StaleIfError: limit})
	p.run()
	p.await("the near cache is usable", p.usable)
	other := openFailover(t, connect(), 32, 0, 0)
	lost := c.Masters()[0]

	// What each master has: sessions that stay, that this process revoked, that another revoked, that nobody has asked
	// for, and that another revokes while the master, or another master, is away.
	const mine, others, unseen, later, stays = "mine", "others", "unseen", "later", "stays"
	kinds := []string{stays, mine, others, unseen, later}
	type one struct {
		id     session.ID
		token  string
		kind   string
		master *redistest.Node
	}
	var all []one
	of := func(n *redistest.Node, kind string) one {
		t.Helper()
		for _, o := range all {
			if o.master == n && o.kind == kind {
				return o
			}
		}
		t.Fatal("there is none")
		return one{}
	}
	for _, master := range c.Masters() {
		for _, kind := range kinds {
			for i := 0; ; i++ {
				id := fmt.Sprint(kind, i)
				if c.Master(p.slotOf(c, session.ID(id))) != master {
					continue
				}
				s := sessionOf(id, "", 1)
				s.Factors.User = nil // nothing of it is on another master
				token := withToken(s)
				p.put(s)
				all = append(all, one{s.ID, token, kind, master})
				break
			}
		}
	}
	p.settle()
	for _, o := range all {
		if o.kind == unseen {
			continue
		}
		if _, err := p.GetByToken(t.Context(), o.token); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := p.Stale(o.token); !ok {
			t.Fatalf("there is no copy of %s", o.id)
		}
	}
	for _, o := range all {
		switch o.kind {
		case mine:
			p.delete(o.id)
		case others:
			mustDelete(t, other, o.id)
		}
	}
	p.prove(testBound / 4) // and what the other process did has been heard of

	stale := func(o one, age time.Duration) {
		t.Helper()
		s, got, ok := p.Stale(o.token)
		switch good := (o.kind == stays || o.kind == later) && age < limit; {
		case ok && !good:
			t.Errorf("after %v session %s is answered, which may not be", age, o.id)
		case !ok && good:
			t.Errorf("after %v nothing is known of session %s", age, o.id)
		case ok && (s.ID != o.id || got != age):
			t.Errorf("session %s is answered for %s, and %v old, want %v", s.ID, o.id, got, age)
		}
		if ok && got == 0 {
			t.Errorf("%s: an answer that is not marked", o.id)
		}
	}
	// unavailable: whoever asks Redis is told so, and never that the session is not there. (I2)
	unavailable := func(o one) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := p.GetByToken(ctx, o.token); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("the master of %s is away, and verify is told: %v", o.id, err)
		}
	}
	away(lost)
	since := p.clock.Load()
	// until lets time pass as it does: the masters that are there prove themselves all the while.
	until := func(age time.Duration) {
		t.Helper()
		for time.Duration(p.clock.Load()-since) < age {
			p.pass(testBound / 4)
			now := p.clock.Load()
			p.await("proofs of the others", func() bool {
				links := p.NearStats().Links
				return links == 0 || p.since("master", now) >= links-1
			})
		}
	}
	until(testBound) // no copy is proven any more
	if p.usable() {
		t.Fatal("copies are used as if they were fresh")
	}
	for _, o := range all {
		stale(o, testBound)
		if o.master == lost {
			unavailable(o)
		}
	}
	until(10 * time.Second) // so long a silence ends the links
	for range 2 {           // and it tries again, in vain
		before := p.count("down")
		if before == 0 {
			p.await("the links end", func() bool { return p.count("down") > 0 })
			continue
		}
		p.await("no new links", func() bool { p.retry(); return p.count("down") > before })
	}
	for _, o := range all {
		stale(o, 10*time.Second)
		if o.master == lost {
			unavailable(o)
		}
	}
	// The others' masters answer, so verify has no need of copies. What somebody else revokes meanwhile is refused, be it
	// as unavailable: there might be another session with the token where the lost master is to be asked.
	for _, master := range c.Masters() {
		if master == lost {
			continue
		}
		o := of(master, later)
		mustDelete(t, other, o.id)
		if _, err := p.GetByToken(t.Context(), o.token); !errors.Is(err, session.ErrRevoked) && !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("session %s is revoked while another master is away: %v", o.id, err)
		}
		if s, _, ok := p.Stale(o.token); ok {
			t.Errorf("Redis has said that session %s is gone, and then its copy answers", s.ID)
		}
		if s, err := p.GetByToken(t.Context(), of(master, stays).token); err != nil || s.ID != of(master, stays).id {
			t.Errorf("a session whose master is there: %v", err)
		}
		if _, _, ok := p.Stale(of(master, stays).token); !ok {
			t.Error("the copy of a session that Redis has as it is there is gone")
		}
	}
	p.clock.Add(int64(limit - 10*time.Second))
	for _, o := range all {
		stale(o, limit)
		if o.master == lost {
			unavailable(o)
		}
	}
	if age := p.NearStats().StaleAge; age >= 0 {
		t.Errorf("copies that are %v old may answer", age)
	}
}
