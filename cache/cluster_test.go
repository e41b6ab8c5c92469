package cache_test

import (
	"math/rand/v2"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// clusterShards is how many shards a store on a Cluster has.
const clusterShards = 32

// The property test, and searches while others write, on a Cluster, over TLS and as a user of an ACL.
func TestI9_Cluster(t *testing.T) {
	t.Parallel()
	access := redistest.Access{User: "app", Password: "of-the-app", Certificates: redistest.NewCertificates(t)}
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{Access: access})
	cluster.NeverFailOver()
	client := cluster.Client(t)
	t.Run("as the model", func(t *testing.T) {
		checkProperty(t, func() redis.UniversalClient { return client }, 0, testdepth.Of(1000, 500), 0, false)
	})
	t.Run("as the model, with a near cache", func(t *testing.T) {
		checkProperty(t, func() redis.UniversalClient { return cluster.Client(t) }, clusterShards, testdepth.Of(1000, 500), 0, true)
	})
	t.Run("while others write, with a near cache", func(t *testing.T) {
		flush(t, client)
		s, stop := openNear(t, cluster.Client(t), clusterShards, storetest.NewClock(), storetest.Limits{}, rand.IntN(2) == 0)
		defer stop()
		storetest.Churn(t, s.subject(), testdepth.Of(300, 100))
	})
}

// The property test behind Sentinels, over TLS and as a user of an ACL.
func TestI9_SentinelsAnswerAsTheModel(t *testing.T) {
	t.Parallel()
	access := redistest.Access{User: "app", Password: "of-the-app", Certificates: redistest.NewCertificates(t)}
	watched := redistest.StartSentinels(t, redistest.SentinelConfig{Access: access})
	watched.NeverFailOver()
	client := watched.Client(t)
	for _, near := range []bool{false, true} {
		checkProperty(t, func() redis.UniversalClient { return client }, 1, testdepth.Of(1000, 300), 0, near)
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
