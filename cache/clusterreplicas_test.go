package cache

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// told is what a revocation says of its deletions.
type told struct {
	mu                sync.Mutex
	all, fewer, least int
}

func (a *told) add(one Acknowledged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == 0 || one.Replicas < a.least {
		a.least = one.Replicas
	}
	a.all++
	if one.Fewer() {
		a.fewer++
	}
}

// On a Cluster each deletion waits for the replicas of its own master.
func TestCluster_DeletionsSayHowManyReplicasHaveThem(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	c.NeverFailOver()
	s := openFailover(t, c.Client(t), 0, 1000, 1)
	silent := c.Masters()[0]
	masterOf := func(id session.ID) *redistest.Node { return c.Master(c.SlotOf(s.keys.Session(id))) }
	sequence := uint64(0)
	put := func(id session.ID, user string) {
		t.Helper()
		sequence += 2 // above the tombstone
		mustPut(t, s, sessionOf(string(id), user, sequence))
	}
	// One session of each shard, and so of each master; some have a user, whose list is in another shard.
	var ids []session.ID
	of := map[*redistest.Node][]session.ID{}
	for i, shards := 0, map[int]bool{}; len(shards) < s.Shards(); i++ {
		id := session.ID(fmt.Sprint("s", i))
		if k := s.keys.ShardOf(id); !shards[k] {
			shards[k] = true
			ids = append(ids, id)
			of[masterOf(id)] = append(of[masterOf(id)], id)
		}
	}
	if len(of) != 3 {
		t.Fatalf("the sessions are on %d masters", len(of))
	}
	putAll := func() {
		t.Helper()
		for i, id := range ids {
			put(id, fmt.Sprint("user", i%5))
		}
	}
	revoke := func() *told {
		t.Helper()
		a := new(told)
		n, err := s.Revoke(t.Context(), Revocation{Query: &index.Query{Sees: index.Sees{All: true}}, Reason: "revoked", Replicated: a.add})
		if err != nil || n != uint64(len(ids)) || a.all != len(ids) {
			t.Fatalf("%d of %d sessions are revoked, and %d told of: %v", n, len(ids), a.all, err)
		}
		return a
	}
	gone := func(id session.ID) {
		t.Helper()
		if _, err := s.GetFresh(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("session %s is deleted: %v", id, err)
		}
	}

	// A busy machine may keep a replica from answering in time, now and then.
	for _, ids := range of {
		eventually.Holds(t, "the replica of "+string(ids[0])+" acknowledges", func() bool {
			put(ids[0], "ada")
			one := mustDelete(t, s, ids[0])
			gone(ids[0])
			return one.Replicas == 1 && !one.Fewer()
		})
	}
	eventually.Holds(t, "every replica acknowledges a revocation", func() bool {
		putAll()
		a := revoke()
		return a.least == 1 && a.fewer == 0
	})

	putAll()
	c.Replicas(silent)[0].Pause()
	before := s.FailoverStats().Unreplicated
	one := of[silent][0]
	if got := mustDelete(t, s, one); got.Replicas != 0 || got.Wanted != 1 || !got.Fewer() {
		t.Errorf("the replica is paused, and the deletion said to be on %d of %d", got.Replicas, got.Wanted)
	}
	if n := s.FailoverStats().Unreplicated - before; n != 1 {
		t.Errorf("%d deletions are counted that the replica has not", n)
	}
	gone(one)
	if got, err := s.ConfirmDeleted(t.Context(), one); err != nil || got.Replicas != 0 || got.Wanted != 1 {
		t.Errorf("the deletion of what is gone, but not on the replica: %+v, %v", got, err)
	}
	for master, ids := range of {
		if master == silent {
			continue
		}
		eventually.Holds(t, "the others' replicas acknowledge still", func() bool {
			put(ids[0], "ada")
			return mustDelete(t, s, ids[0]).Replicas == 1
		})
	}
	eventually.Holds(t, "a revocation says that only one of three masters' replica is missing", func() bool {
		putAll()
		before := s.FailoverStats().Unreplicated
		a := revoke()
		if counted := s.FailoverStats().Unreplicated - before; a.least != 0 || a.fewer < len(of[silent]) || counted != uint64(a.fewer) {
			t.Fatalf("%d of %d deletions are on too few, the least on %d; %d are counted; %d are of the master whose replica is paused",
				a.fewer, a.all, a.least, counted, len(of[silent]))
		}
		for _, id := range ids {
			gone(id)
		}
		return a.fewer == len(of[silent])
	})
	c.Replicas(silent)[0].Resume()
	eventually.Holds(t, "the replica has it", func() bool {
		got, err := s.ConfirmDeleted(t.Context(), one)
		return err == nil && got.Replicas == 1
	})
}
