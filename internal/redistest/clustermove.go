package redistest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
)

// SlotOf returns the slot of a key.
func (c *Cluster) SlotOf(key string) int {
	c.t.Helper()
	return int(c.running().Do("CLUSTER", "KEYSLOT", key).(int64))
}

// look returns how a node that runs sees the cluster. While a replica takes the place of its master, a node may for a moment
// know of no master for their slots: it waits until each has one.
func (c *Cluster) look() (view *clusterView) {
	c.t.Helper()
	wait(c.t, "a master for each slot", clusterTimeout, func() (err error) {
		if view, err = c.running().view(); err != nil {
			return err
		}
		if slot := slices.Index(view.owner, ""); slot >= 0 {
			return fmt.Errorf("slot %d has none", slot)
		}
		return nil
	})
	return view
}

// Master returns the master of a slot, as the nodes that run see it.
func (c *Cluster) Master(slot int) *Node {
	c.t.Helper()
	return c.node(c.look().owner[slot])
}

// Masters returns the masters that have slots, in the order of their first one.
func (c *Cluster) Masters() []*Node {
	c.t.Helper()
	var masters []*Node
	for _, id := range c.look().owner {
		if n := c.node(id); !slices.Contains(masters, n) {
			masters = append(masters, n)
		}
	}
	return masters
}

// Replicas returns the replicas of a master.
func (c *Cluster) Replicas(master *Node) []*Node {
	c.t.Helper()
	view := c.look()
	var replicas []*Node
	for _, n := range c.Nodes {
		if view.master[n.ID] == master.ID {
			replicas = append(replicas, n)
		}
	}
	return replicas
}

// running returns a node that runs and is not paused, one that was a replica at the start if there is one.
func (c *Cluster) running() *Node {
	c.t.Helper()
	for _, n := range slices.Backward(c.Nodes) {
		if !n.away() {
			return n
		}
	}
	c.t.Fatal("redistest: no node of the cluster runs")
	return nil
}

func (c *Cluster) node(id string) *Node {
	c.t.Helper()
	for _, n := range c.Nodes {
		if n.ID == id {
			return n
		}
	}
	c.t.Fatalf("redistest: the cluster has no node %q", id)
	return nil
}

// Failover has a replica of the slot's master take its place, in agreement with it, and returns the new master when all
// nodes know it. Nothing is lost.
func (c *Cluster) Failover(slot int) *Node {
	c.t.Helper()
	old := c.Master(slot)
	replicas := c.Replicas(old)
	if len(replicas) == 0 {
		c.t.Fatalf("redistest: the master of slot %d has no replica", slot)
	}
	replicas[0].Do("CLUSTER", "FAILOVER")
	wait(c.t, "failover", clusterTimeout, func() error {
		if n := c.Master(slot); n != replicas[0] {
			return fmt.Errorf("%s is the master still", n.Addr)
		}
		return c.fault()
	})
	return replicas[0]
}

// WaitPromoted waits until a node that is down, or paused, is no master any more in the eyes of the others, and returns the
// master of the slot.
func (c *Cluster) WaitPromoted(slot int, gone *Node) *Node {
	c.t.Helper()
	wait(c.t, "promotion of a replica", clusterTimeout, func() error {
		for _, n := range c.Nodes {
			if n == gone || n.away() {
				continue
			}
			view, err := n.view()
			if err != nil {
				return err
			}
			if owner := view.owner[slot]; owner == gone.ID || owner == "" {
				return errors.New("it is the master still, or there is none")
			}
			info, err := n.info("CLUSTER", "INFO")
			if err != nil {
				return err
			}
			if info["cluster_state"] != "ok" {
				return fmt.Errorf("%s: state %s", n.Addr, info["cluster_state"])
			}
		}
		return nil
	})
	return c.Master(slot)
}

// Migration is a slot on its way from one master to another.
type Migration struct {
	Slot     int
	From, To *Node

	c *Cluster
}

// Migrate begins to move a slot: what it has not is asked of the other master from now on (ASK).
func (c *Cluster) Migrate(slot int, to *Node) *Migration {
	c.t.Helper()
	m := &Migration{Slot: slot, From: c.Master(slot), To: to, c: c}
	if m.From == to {
		c.t.Fatalf("redistest: slot %d is there already", slot)
	}
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", m.From.ID)
	m.From.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID)
	return m
}

// Move moves at most so many keys, and returns how many were there to move: 0 when all are gone.
func (m *Migration) Move(most int) int {
	m.c.t.Helper()
	found, _ := m.From.Do("CLUSTER", "GETKEYSINSLOT", m.Slot, most).([]any)
	if len(found) == 0 {
		return 0
	}
	words := []any{"MIGRATE", "127.0.0.1", port(m.To.Addr), "", 0, 5000}
	switch a := m.c.config.Access; {
	case a.User != "":
		words = append(words, "AUTH2", a.User, a.Password)
	case a.Password != "":
		words = append(words, "AUTH", a.Password)
	}
	m.From.Do(append(append(words, "KEYS"), found...)...) // NOKEY is an answer: they may have gone meanwhile
	return len(found)
}

// End gives the slot to its new master, and tells all other masters.
func (m *Migration) End() {
	m.c.t.Helper()
	m.To.Do("CLUSTER", "SETSLOT", m.Slot, "NODE", m.To.ID)
	m.From.Do("CLUSTER", "SETSLOT", m.Slot, "NODE", m.To.ID)
	for _, n := range m.c.Masters() {
		if n != m.To && n != m.From {
			n.Do("CLUSTER", "SETSLOT", m.Slot, "NODE", m.To.ID)
		}
	}
}

// Finish moves all keys that are left, and ends the migration. It returns how many keys it moved.
func (m *Migration) Finish() (moved int) {
	m.c.t.Helper()
	for {
		n := m.Move(100)
		if n == 0 {
			m.End()
			return moved
		}
		moved += n
	}
}

// NeverFailOver has no replica take over by itself from now on, however long its master is silent: not because a test is
// about it, nor because the machine is busy. Failover and Kill with WaitPromoted are for clusters without it.
func (c *Cluster) NeverFailOver() {
	c.t.Helper()
	for _, n := range c.Nodes {
		// Set at the start, it would have the nodes take seconds to agree.
		n.Do("CONFIG", "SET", "cluster-node-timeout", 600000)
	}
}

// NeverFailOver has no replica take over by itself from now on.
func (s *Sentinels) NeverFailOver() {
	s.t.Helper()
	for _, w := range s.Watchers {
		w.Do("SENTINEL", "SET", MasterName, "down-after-milliseconds", 600000)
	}
}

// WaitSynced waits until every replica that runs has all that its master has written so far.
func (c *Cluster) WaitSynced() {
	c.t.Helper()
	for _, m := range c.Masters() {
		waitSynced(c.t, m.Server, func() (servers []*Server) {
			for _, r := range c.Replicas(m) {
				servers = append(servers, r.Server)
			}
			return servers
		}())
	}
}

// WaitSynced waits until every replica that runs has all that the master has written so far.
func (s *Sentinels) WaitSynced() {
	s.t.Helper()
	waitSynced(s.t, s.Master(), s.Servers)
}

func waitSynced(t testing.TB, master *Server, replicas []*Server) {
	t.Helper()
	info, err := master.info("INFO", "replication")
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.ParseInt(info["master_repl_offset"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "replicas have all", clusterTimeout, func() error {
		for _, r := range replicas {
			if r == master || r.away() {
				continue
			}
			info, err := r.info("INFO", "replication")
			if err != nil {
				return err
			}
			if have, err := strconv.ParseInt(info["slave_repl_offset"], 10, 64); err != nil || have < want {
				return fmt.Errorf("%s has %d bytes of %d", r.Addr, have, want)
			}
		}
		return nil
	})
}
