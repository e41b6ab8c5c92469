package cache_test

import (
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
)

// clusterShards is how many shards a store on a Cluster has.
const clusterShards = 32

// The suite, with a near cache of three masters.
func TestContractNearCluster(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	hits := uint64(0)
	storetest.Run(t, func(t *testing.T, l storetest.Limits) (storetest.Store, func(time.Duration)) {
		shards := clusterShards
		if l.MaxSessions > 0 {
			shards = 1 // which alone can count its sessions
		}
		flush(t, client)
		s, stop := openNear(t, client, shards, storetest.NewClock(), l)
		t.Cleanup(func() {
			hits += s.NearStats().Sessions.Hits
			stop()
		})
		return s.Store, s.clock.Advance
	})
	if hits == 0 {
		t.Error("no copy was ever used")
	}
}

func TestI9_NearClusterAnswersAsTheModel(t *testing.T) {
	client := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	checkProperty(t, client, clusterShards, 1000, 0, true)
}

// Searches on a Cluster while others write, from copies and lists that they change.
func TestI9_NearClusterSearchWhileOthersWrite(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	s, stop := openNear(t, client, clusterShards, storetest.NewClock(), storetest.Limits{})
	defer stop()
	storetest.Churn(t, s.subject(), 300)
}
