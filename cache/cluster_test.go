package cache_test

import (
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// Everything on a Cluster, and behind Sentinels, over TLS and as a user of an ACL.
func TestI9_Topologies(t *testing.T) {
	t.Parallel()
	access := redistest.Access{User: "app", Password: "of-the-app", Certificates: redistest.NewCertificates(t)}
	nodes, watched := redistest.StartCluster(t, redistest.ClusterConfig{Access: access}), redistest.StartSentinels(t, redistest.SentinelConfig{Access: access})
	nodes.NeverFailOver()
	watched.NeverFailOver()
	cluster, sentinel := nodes.Client(t), watched.Client(t)
	for _, topology := range []struct {
		name   string
		client redis.UniversalClient
		shards int
	}{{"Cluster", cluster, 0}, {"Cluster,P=8", cluster, 8}, {"Sentinel", sentinel, 0}} {
		t.Run(topology.name, func(t *testing.T) {
			checkTopology(t, topology.client, topology.shards)
		})
	}
}

// checkTopology runs the contract suite, and with the usual number of shards a part of the property test.
func checkTopology(t *testing.T, client redis.UniversalClient, shards int) {
	storetest.Run(t, func(t *testing.T, l storetest.Limits) (storetest.Store, func(time.Duration)) {
		shards := shards
		if l.MaxSessions > 0 {
			shards = 1 // only a store of one shard can count its sessions
		}
		s := openEmpty(t, client, shards, l)
		t.Cleanup(func() {
			if !t.Failed() {
				s.audit(t, false)
			}
		})
		return s.Store, s.clock.Advance
	})
	if shards == 0 {
		checkProperty(t, client, shards, 1000, 0, false)
	}
}

// A store on a Cluster has 32 shards unless another number is asked for or recorded.
func TestCluster_DefaultShards(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	f := func(asked, want int) {
		t.Helper()
		if s := open(t, client, asked, storetest.NewClock(), storetest.Limits{}); s.Shards() != want {
			t.Errorf("asked for %d: %d shards, want %d", asked, s.Shards(), want)
		}
	}
	f(0, 32)
	f(32, 32)
	flush(t, client)
	f(8, 8)
	f(0, 8)
}
