package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// startCluster starts a cluster whose nodes are not replaced when they are silent, and opens a store on it, whose shards
// it tells by master.
func startCluster(t *testing.T) (c *redistest.Cluster, s *testStore, shards map[*redistest.Node][]int) {
	t.Helper()
	c = redistest.StartCluster(t, redistest.ClusterConfig{})
	c.NeverFailOver()
	s = open(t, clusterClient(t, c), 0, storetest.NewClock(), storetest.Limits{})
	return c, s, shardsOf(c, s)
}

// clusterClient returns a client as the program makes it.
func clusterClient(t *testing.T, c *redistest.Cluster) *redis.ClusterClient {
	t.Helper()
	return c.Client(t, func(o *redis.ClusterOptions) {
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout = time.Second, time.Second, time.Second
		o.DialerRetries, o.ClusterStateReloadInterval = 1, 2*time.Second
	})
}

func shardsOf(c *redistest.Cluster, s *testStore) map[*redistest.Node][]int {
	shards := make(map[*redistest.Node][]int)
	for k := range s.keys.Shards() {
		master := c.Master(c.SlotOf(s.keys.Created(k)))
		shards[master] = append(shards[master], k)
	}
	return shards
}

// sessionIn returns a session in a shard that is due in an hour. Nothing of it is in another shard, unless it has a user.
func sessionIn(s *testStore, shard int, user string) *session.Session {
	return namedSessionIn(s, shard, user, "s")
}

// namedSessionIn returns one of several such sessions.
func namedSessionIn(s *testStore, shard int, user, name string) *session.Session {
	now := s.Now()
	for i := 0; ; i++ {
		id := session.ID(fmt.Sprintf("%s%d-%d", name, shard, i))
		if s.keys.ShardOf(id) == shard {
			n := &session.Session{ID: id, CreationDate: now, ChangeDate: now, Sequence: 1, ExpirationDate: now.Add(time.Hour)}
			if user != "" {
				n.Factors.User = &session.UserFactor{ID: user}
			}
			return n
		}
	}
}

// While one master is silent, sessions of other masters are read, written and swept; its own are unavailable, and
// never not found.
func TestI2_OneMasterIsSilent(t *testing.T) {
	t.Parallel()
	c, s, shards := startCluster(t)
	for k := range s.keys.Shards() {
		if err := s.Put(t.Context(), sessionIn(s, k, ""), nil); err != nil {
			t.Fatal(err)
		}
	}
	silent := c.Masters()[0]
	silent.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for k := range s.keys.Shards() {
		_, err := s.Get(ctx, sessionIn(s, k, "").ID)
		if slices.Contains(shards[silent], k) {
			if !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("shard %d, whose master is silent: %v", k, err)
			}
			break // each takes a time-out
		}
	}
	for master, of := range shards {
		if master == silent {
			continue
		}
		for _, k := range of {
			old, err := s.GetFresh(ctx, sessionIn(s, k, "").ID)
			if err != nil {
				t.Errorf("shard %d: %v", k, err)
				continue
			}
			if k%2 == 0 {
				_, err = s.Delete(ctx, old, "test")
			}
			if err != nil {
				t.Errorf("shard %d: delete: %v", k, err)
			}
		}
	}
	s.clock.Advance(2 * time.Hour)
	if _, err := s.Sweep(ctx); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Sweep: %v", err)
	}
	for master, of := range shards {
		for _, k := range of {
			if master == silent {
				continue
			}
			if n, err := s.client.ZCard(ctx, s.keys.Catalogue(k)).Result(); n != 0 || err != nil {
				t.Errorf("shard %d has %d cards: %v", k, n, err)
			}
		}
	}
	silent.Resume()
	for {
		if _, err := s.Sweep(t.Context()); err == nil {
			break
		} else if !errors.Is(err, session.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	s.audit(t, true)
}

// A master that has no scripts gets them when it is asked.
func TestCluster_ScriptsComeBack(t *testing.T) {
	t.Parallel()
	c, s, _ := startCluster(t)
	forget := func() {
		for _, n := range c.Nodes {
			n.Do("SCRIPT", "FLUSH")
		}
	}
	var all []session.ID
	for k := range s.keys.Shards() {
		forget()
		n := sessionIn(s, k, "u")
		if err := s.Put(t.Context(), n, nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, n.ID)
	}
	forget()
	old, err := s.GetFresh(t.Context(), all[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), old, "test"); err != nil {
		t.Fatal(err)
	}
	s.audit(t, false)
	forget()
	s.clock.Advance(2 * time.Hour)
	s.sweep(t)
	s.audit(t, true)
}

// While one master is known to be away, the store serves the sessions of the others.
func TestCluster_PingWithoutOneMaster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	c.NeverFailOver()
	breakers := breaker.New(slog.New(slog.DiscardHandler))
	client := c.Client(t, func(o *redis.ClusterOptions) {
		o.DialerRetries = 1
		o.NewClient = func(o *redis.Options) *redis.Client { return breakers.Guard(redis.NewClient(o)) }
	})
	s := open(t, client, 0, storetest.NewClock(), storetest.Limits{})
	breakers.Arm()
	masters := c.Masters()
	masters[0].Kill()
	for len(breakers.Stats().Open) == 0 {
		for k := range s.keys.Shards() {
			_, _ = s.Get(t.Context(), sessionIn(s, k, "").ID)
		}
	}
	for range 20 {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	masters[1].Kill()
	masters[2].Kill()
	if err := s.Ping(t.Context()); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("no master is there: %v", err)
	}
}
