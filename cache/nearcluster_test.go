package cache

import (
	"context"
	"net"
	"slices"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// slotOf returns the slot of a session's shard.
func (p *nearProcess) slotOf(c *redistest.Cluster, id session.ID) int {
	p.t.Helper()
	return c.SlotOf(p.keys.Session(id))
}

// another returns a master that has not the slot.
func another(c *redistest.Cluster, slot int) *redistest.Node {
	masters := c.Masters()
	return masters[(slices.Index(masters, c.Master(slot))+1)%len(masters)]
}

// undo moves what a migration has moved back to where it comes from, and ends it there.
func undo(m *redistest.Migration) {
	host, port, _ := net.SplitHostPort(m.From.Addr)
	m.From.Do("CLUSTER", "SETSLOT", m.Slot, "STABLE") // else it takes no key
	if keys, _ := m.To.Do("CLUSTER", "GETKEYSINSLOT", m.Slot, 1000).([]any); len(keys) > 0 {
		m.To.Do(append([]any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}, keys...)...)
	}
	m.To.Do("CLUSTER", "SETSLOT", m.Slot, "STABLE")
}

// drop removes a session of user u by commands of one key each: Redis takes no
// script for a slot that is being moved.
func (p *nearProcess) drop(rdb redis.UniversalClient, id session.ID) {
	p.t.Helper()
	if n, err := rdb.Del(p.t.Context(), p.keys.Session(id)).Result(); n != 1 || err != nil {
		p.t.Fatal(n, err)
	}
	if n, err := rdb.Del(p.t.Context(), p.keys.User("u")).Result(); n != 1 || err != nil {
		p.t.Fatal(n, err)
	}
}

// A slot goes away and comes back so soon that its master's proof holds all the
// while, and so does the next. What the other master, which no link goes to, has
// answered in between must not be held: it told nobody that it has changed.
func TestI3_LoadAnsweredWithoutALinkIsNotKept(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		client := c.Client(t)
		b := startNear(t, c.Client(t), 1)
		if b.NearStats().Links != 1 {
			t.Fatalf("%d links", b.NearStats().Links)
		}
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.want("1", 1, true)
		slot := b.slotOf(c, "1")
		m := c.Migrate(slot, another(c, slot))
		b.during("invalidation", func() {
			for m.Move(100) > 0 {
			}
		})
		b.settleLinks()
		b.want("1", 1, false) // it follows ASK
		b.want("1", 1, false)
		if got := b.ofUser("u"); len(got) != 1 {
			t.Error(got)
		}
		b.drop(client, "1")
		undo(m)
		b.want("1", 0, false)
		if got := b.ofUser("u"); len(got) != 0 {
			t.Error(got)
		}
		if !b.usable() || b.NearStats().LinksLost > 0 {
			t.Error("the proofs have not held all the while")
		}
		b.settle()
		b.want("1", 0, true)
	})
}

// A slot moves to a master that is followed: what that answers is held, and
// invalidated, but not used for longer than the old master's proof holds.
func TestI4_SlotMovesBetweenMasters(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		client := c.Client(t)
		b := startNear(t, c.Client(t), 32)
		for _, id := range []string{"1", "2"} {
			b.put(sessionOf(id, "u", 1))
		}
		b.settle()
		slot := b.slotOf(c, "1")
		if b.slotOf(c, "2") == slot {
			t.Fatal("both sessions are in one slot")
		}
		b.want("1", 1, false)
		b.want("2", 1, false)
		m := c.Migrate(slot, another(c, slot))
		m.Move(100)
		b.settleLinks()
		b.want("1", 1, false)
		if isByKey(t) { // the old master's link answers with ASK
			b.want("1", 1, false)
			b.drop(client, "1")
		} else {
			b.want("1", 1, true)
			b.during("invalidation", func() { b.drop(client, "1") })
		}
		b.settleLinks()
		b.want("1", 0, false)
		b.want("2", 1, true)
		b.during("master away", func() { b.pass(testBound / 4) }) // ASK
		b.want("2", 1, true)
		b.pass(testBound / 4)
		b.want("2", 1, false)
		b.want("2", 1, false)
		m.Finish()
		b.await("MOVED", func() bool { b.pass(testBound / 4); return b.NearStats().LinksLost > 0 })
		b.await("new links", func() bool { b.retry(); return b.usable() })
		b.want("2", 1, false)
		b.want("2", 1, true)
		b.want("1", 0, false)
		b.want("1", 0, true)
		if s := b.NearStats(); s.LinksLost != 1 || s.Links != 3 || s.State != "on" {
			t.Errorf("%+v", s)
		}
	})
}

// A slot that could not be moved stays: its master proves itself again.
func TestI4_SlotDoesNotMoveInTheEnd(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		b := startNear(t, c.Client(t), 32)
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		slot := b.slotOf(c, "1")
		m := c.Migrate(slot, another(c, slot)) // and nothing is moved
		b.during("master away", func() { b.pass(testBound / 4) })
		b.want("1", 1, true)
		b.during("master away", func() { b.pass(testBound / 4) })
		b.want("1", 1, false)
		undo(m)
		b.settle()
		if b.NearStats().LinksLost > 0 {
			t.Error("the links were made anew")
		}
		b.want("1", 1, false) // there was a gap
		b.want("1", 1, true)
	})
}

// late lets answers reach the store when it says so.
type late struct {
	answered, release chan struct{}
}

func (h *late) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *late) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *late) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if batch.Sent(cmds[0])[0].Name() == "hget" {
			h.answered <- struct{}{}
			<-h.release
		}
		return err
	}
}

// A load that the old master has answered ends after the links were made anew. Where loads are
// read over the links, they end with these.
func TestI3_LoadFromBeforeAFailoverIsNotKept(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	client := c.Client(t)
	a, b := startNear(t, c.Client(t), 32), startNear(t, client, 32)
	a.put(sessionOf("1", "u", 1))
	b.settle()
	hook := &late{answered: make(chan struct{}), release: make(chan struct{})}
	err := client.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
		node.AddHook(hook)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded := make(chan uint64, 1)
	go func() {
		s, err := b.Get(t.Context(), "1")
		if err != nil {
			t.Errorf("got %v", err)
			loaded <- 0
			return
		}
		loaded <- s.Sequence
	}()
	<-hook.answered
	c.Failover(b.slotOf(c, "1"))
	a.put(sessionOf("1", "u", 2))
	b.during("down", func() { b.pass(testBound / 4) })
	b.await("new links", func() bool { b.retry(); return b.usable() })
	close(hook.release)
	go func() { // the next ones
		for range hook.answered {
		}
	}()
	defer close(hook.answered)
	if got := <-loaded; got != 1 {
		t.Errorf("the load has answered %d", got)
	}
	b.want("1", 2, false)
	b.want("1", 2, true)
}

// The master steps down: nothing that it has told, or not told, counts any more.
func TestI4_MasterOfAShardStepsDown(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		a, b := startNear(t, c.Client(t), 32), startNear(t, c.Client(t), 32)
		for _, id := range []string{"1", "2"} {
			a.put(sessionOf(id, "u", 1))
		}
		b.settle()
		b.want("1", 1, false)
		b.want("1", 1, true)
		c.Failover(b.slotOf(c, "1"))
		a.delete("1")
		b.during("down", func() { b.pass(testBound / 4) })
		if b.usable() {
			t.Error("copies are used")
		}
		b.want("1", 0, false)
		b.await("new links", func() bool { b.retry(); return b.usable() })
		b.want("2", 1, false)
		b.want("2", 1, true)
	})
}

// A cluster that is emptied in part.
func TestI4_OneMasterIsEmptied(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		b := startNear(t, c.Client(t), 32)
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.want("1", 1, true)
		b.during("flush", func() { c.Master(b.slotOf(c, "1")).Do("FLUSHALL") })
		b.want("1", 0, false)
		if !b.usable() {
			t.Error("the near cache is not usable any more")
		}
	})
}

// Copies come from masters only: a client that lets replicas answer has none.
func TestNear_OffWhereReplicasAnswer(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := openNear(t, Config{Redis: c.Client(t, func(o *redis.ClusterOptions) { o.ReadOnly = true }), Shards: 32, NearBytes: 1 << 20})
	b.run()
	b.await("it says so", func() bool { return b.NearStats().State == "off: reads may go to replicas" })
}

// A key where none may be proves nothing.
func TestNear_NotUsedIfThereIsAKeyThatMayNotBe(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		client := c.Client(t)
		b := startNear(t, client, 32)
		b.prove(0)
		never := b.keys.Never(7)
		if err := client.Set(t.Context(), never, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		b.during("master away", func() { b.pass(testBound / 4) })
		if err := client.Del(t.Context(), never).Err(); err != nil {
			t.Fatal(err)
		}
		b.settle()
		if s := b.NearStats(); s.State != "on" {
			t.Errorf("%+v", s)
		}
	})
}
