package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

func TestCluster_ServesAllSlotsAndEachMasterHasItsReplica(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	masters := c.Masters()
	if !slices.Equal(masters, c.Nodes[:3]) {
		t.Errorf("the masters are not the first three nodes")
	}
	for i, m := range masters {
		if replicas := c.Replicas(m); len(replicas) != 1 || replicas[0] != c.Nodes[3+i] {
			t.Errorf("master %d has %d replicas, or another one", i, len(replicas))
		}
	}
	client := c.Client(t)
	for i := range 50 {
		key := fmt.Sprint("k", i)
		if err := client.Set(t.Context(), key, i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Master(c.SlotOf(key)).Client(t).Get(t.Context(), key).Int(); got != i || err != nil {
			t.Errorf("%s at its slot's master: %d, %v", key, got, err)
		}
	}
}

func TestCluster_ReplicaTakesOver(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	client := c.Client(t)
	slot := c.SlotOf("k")
	set := func(value string) {
		t.Helper()
		// WAIT goes to the same master, so that what is lost is not a matter of luck.
		node := c.Master(slot).Client(t)
		if err := node.Set(t.Context(), "k", value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := node.Wait(t.Context(), 1, 5*time.Second).Result(); n != 1 || err != nil {
			t.Fatalf("%d replicas have it: %v", n, err)
		}
	}
	old := c.Master(slot)
	set("in agreement")
	if n := c.Failover(slot); n == old || n != c.Master(slot) {
		t.Fatal("the master is another than Failover says")
	}
	if v, err := client.Get(t.Context(), "k").Result(); v != "in agreement" || err != nil {
		t.Errorf("after Failover: %q, %v", v, err)
	}
	set("by force")
	killed := c.Master(slot)
	killed.Kill()
	if n := c.WaitPromoted(slot, killed); n != old {
		t.Error("the master is not the only replica")
	}
	if v, err := old.Client(t).Get(t.Context(), "k").Result(); v != "by force" || err != nil {
		t.Errorf("after Kill: %q, %v", v, err)
	}
	killed.Restart()
	c.WaitReady()
	if replicas := c.Replicas(old); len(replicas) != 1 || replicas[0] != killed {
		t.Error("who was killed is no replica now")
	}
}

func TestCluster_SlotMovesInSteps(t *testing.T) {
	t.Parallel()
	access := redistest.Access{User: "app", Password: "secret-of-a-test", Certificates: redistest.NewCertificates(t)}
	c := redistest.StartCluster(t, redistest.ClusterConfig{Access: access})
	client := c.Client(t)
	const keys = 10
	for i := range keys {
		if err := client.Set(t.Context(), fmt.Sprint("{k}", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	slot := c.SlotOf("k")
	from := c.Master(slot)
	to := c.Masters()[(slices.Index(c.Masters(), from)+1)%3]
	m := c.Migrate(slot, to)
	if n := m.Move(4); n != 4 {
		t.Errorf("moved %d keys", n)
	}
	there := func() (n int) {
		t.Helper()
		reply := to.Do("CLUSTER", "COUNTKEYSINSLOT", slot)
		return int(reply.(int64))
	}
	if n := there(); n != 4 || c.Master(slot) != from {
		t.Errorf("%d keys are there on the way", n)
	}
	// A command for keys of both sides at once is told to come later.
	many := make([]string, keys)
	for i := range many {
		many[i] = fmt.Sprint("{k}", i)
	}
	if err := from.Client(t).MGet(t.Context(), many...).Err(); err == nil || !redis.HasErrorPrefix(err, "TRYAGAIN") {
		t.Errorf("keys of both sides: %v, want TRYAGAIN", err)
	}
	if n := m.Finish(); n != keys-4 {
		t.Errorf("moved %d more keys", n)
	}
	if n := there(); n != keys || c.Master(slot) != to {
		t.Errorf("%d keys are there at the end", n)
	}
	c.WaitReady()
	for i := range keys {
		if got, err := client.Get(t.Context(), fmt.Sprint("{k}", i)).Int(); got != i || err != nil {
			t.Errorf("key %d: %d, %v", i, got, err)
		}
	}
}

func TestCluster_AsksForPasswordAndCertificate(t *testing.T) {
	t.Parallel()
	access := redistest.Access{User: "app", Password: "secret-of-a-test", Certificates: redistest.NewCertificates(t)}
	s := redistest.StartSentinels(t, redistest.SentinelConfig{Access: access, User: "asker", Password: "of-sentinels"})
	if err := s.Client(t).Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	refusedBy := func(addr string, why string, option func(*redis.Options)) {
		t.Helper()
		client := s.Master().Client(t, option, func(o *redis.Options) { o.Addr = addr })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := client.Ping(ctx).Err(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s at %s: %v", why, addr, err)
		}
	}
	for _, addr := range []string{s.Master().Addr, s.Addrs()[0]} {
		refusedBy(addr, "no password", func(o *redis.Options) { o.Username, o.Password = "", "" })
		refusedBy(addr, "wrong password", func(o *redis.Options) { o.Password = "another" })
		refusedBy(addr, "no certificate", func(o *redis.Options) { o.TLSConfig.Certificates = nil })
		refusedBy(addr, "no TLS", func(o *redis.Options) { o.TLSConfig = nil })
	}
}
