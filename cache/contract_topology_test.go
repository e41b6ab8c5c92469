package cache_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// ofAdmin is what servers ask for: certificates, and the password of a user that may do everything.
func ofAdmin(t *testing.T) redistest.Access {
	return redistest.Access{User: "admin", Password: "of-the-admin", Certificates: redistest.NewCertificates(t)}
}

// startLeastCluster starts a Cluster with replicas, over TLS.
func startLeastCluster(t *testing.T) (*least, *redistest.Cluster) {
	t.Helper()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{Access: ofAdmin(t), Conf: []string{longLog}})
	cluster.NeverFailOver()
	l := &least{all: cluster.Client(t), rights: acl.Needed(cache.Rights(), acl.JWTs|acl.Near|acl.Cluster|acl.Waits)}
	for _, n := range cluster.Nodes {
		l.admins = append(l.admins, socketClient(t, n.Server))
	}
	l.allow(t, rule(l.rights))
	n, user := 0, redis.UniversalClient(nil)
	l.user = func() redis.UniversalClient {
		if n++; n%3 == 1 {
			user = cluster.Client(t, func(o *redis.ClusterOptions) { o.Username, o.Password = leastUser, "secret" })
		}
		return user
	}
	return l, cluster
}

// startLeastSentinels starts a master with a replica behind Sentinels, over TLS.
func startLeastSentinels(t *testing.T) *least {
	t.Helper()
	watched := redistest.StartSentinels(t, redistest.SentinelConfig{Access: ofAdmin(t), Conf: []string{longLog}})
	watched.NeverFailOver()
	l := &least{all: watched.Client(t), rights: acl.Needed(cache.Rights(), acl.JWTs|acl.Near|acl.Waits)}
	for _, server := range watched.Servers {
		l.admins = append(l.admins, socketClient(t, server))
	}
	l.allow(t, rule(l.rights))
	user := watched.Client(t, func(o *redis.FailoverOptions) { o.Username, o.Password = leastUser, "secret" })
	l.user = func() redis.UniversalClient { return user }
	return l
}

// TestContract on a Cluster, without a look for commands that are not in the table: its servers send each other some.
func TestContract_Cluster(t *testing.T) {
	t.Parallel()
	l, cluster := startLeastCluster(t)
	l.contract(t, clusterShards, true, nil, 4)
	if testdepth.Of(true, false) {
		l.contract(t, 8, false, nil, 1)
	}
	if t.Failed() {
		return
	}
	l.forget(t)
	l.operate(t, 0)
	space, err := keys.NewSpace(keys.DefaultPrefix, clusterShards)
	if err != nil {
		t.Fatal(err)
	}
	l.empty(t)
	slot := cluster.SlotOf(space.Session("0"))
	to := cluster.Masters()[0]
	if to == cluster.Master(slot) {
		to = cluster.Masters()[1]
	}
	moving := cluster.Migrate(slot, to)
	tour(t, l.user(), 0)
	moving.Finish()
	if refused := l.refused(t); len(refused) > 0 {
		t.Errorf("refused under the rights of the table while a slot moves: %v", refused)
	}
	used := map[string]bool{}
	l.collect(t, used)
	for _, r := range l.rights {
		if r.When == acl.Cluster && !used[r.Command] {
			t.Errorf("%s is in the table (%s), and nothing has used it", r.Command, r.Why)
		}
	}
}

// TestContract behind Sentinels, without a look for commands that are not in the table: servers and Sentinels send each
// other some.
func TestContract_Sentinels(t *testing.T) {
	t.Parallel()
	l := startLeastSentinels(t)
	l.contract(t, 1, true, nil, 4)
	if testdepth.Of(true, false) {
		l.contract(t, 4, false, nil, 1)
	}
	if !t.Failed() {
		l.operate(t, 1)
	}
}
