package cache_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

func openOnly(t *testing.T, rdb redis.UniversalClient) error {
	t.Helper()
	s, err := cache.Open(t.Context(), cache.Config{Redis: rdb, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = s.Close()
	}
	return err
}

// A client that does not fit the server is refused, whatever the server has and
// whatever it forbids.
func TestOpen_WrongKindOfServer(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	renamed := redistest.StartCluster(t, redistest.ClusterConfig{Conf: []string{`rename-command HELLO ""`}})
	sentinels := redistest.StartSentinels(t, redistest.SentinelConfig{})
	for _, c := range []*redistest.Cluster{cluster, renamed} {
		for _, n := range c.Nodes { // masters with the slot, without it, and replicas
			for _, protocol := range []int{2, 3} {
				rdb := n.Client(t, func(o *redis.Options) { o.Protocol = protocol })
				if err := openOnly(t, rdb); !errors.Is(err, cache.ErrClusterNode) || errors.Is(err, session.ErrUnavailable) {
					t.Errorf("node %s, RESP%d: %v", n.Addr, protocol, err)
				}
			}
			if err := openOnly(t, n.Client(t, func(o *redis.Options) { o.DB = 1 })); !errors.Is(err, cache.ErrClusterNode) {
				t.Errorf("node %s, database 1: %v", n.Addr, err)
			}
		}
		if err := openOnly(t, c.Client(t)); err != nil {
			t.Errorf("a Cluster with its client: %v", err)
		}
	}
	if err := openOnly(t, sentinels.Watchers[0].Client(t)); !errors.Is(err, cache.ErrSentinel) {
		t.Errorf("a Sentinel: %v", err)
	}
	single := redistest.Start(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{single.Addr}})
	defer client.Close()
	if err := openOnly(t, client); !errors.Is(err, cache.ErrNoCluster) || errors.Is(err, session.ErrUnavailable) {
		t.Errorf("a single server as a Cluster: %v", err)
	}
	old := redistest.Start(t, `rename-command HELLO ""`)
	if err := openOnly(t, old.Client(t)); err != nil {
		t.Errorf("a single server without HELLO: %v", err)
	}
	down := redistest.Start(t)
	down.Stop()
	if err := openOnly(t, down.Client(t)); !errors.Is(err, session.ErrUnavailable) || errors.Is(err, context.Canceled) {
		t.Errorf("a server that is down: %v", err)
	}
}
