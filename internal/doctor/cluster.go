package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/redis/go-redis/v9"
)

// cluster is the client of a Cluster, nil if there is none.
func (e *examination) cluster() *redis.ClusterClient {
	c, _ := e.Client.(*redis.ClusterClient)
	return c
}

// keysClient reaches every key. Outside of a Cluster it is the one without a name.
func (e *examination) keysClient() redis.UniversalClient {
	if e.cluster() == nil {
		return e.nodes[0].client
	}
	return e.Client
}

// failsOver says whether somebody is to take over when a master dies.
func (e *examination) failsOver() bool {
	return e.cluster() != nil || e.Master != ""
}

func (e *examination) sortNodes() {
	slices.SortFunc(e.nodes, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
}

// shardAt returns a shard whose keys are on n.
func (e *examination) shardAt(ctx context.Context, n *node) (shard int, has bool) {
	cluster := e.cluster()
	if cluster == nil {
		return 0, true
	}
	for shard := range e.space.Shards() {
		c, err := cluster.MasterForKey(ctx, e.space.Catalogue(shard))
		if err == nil && c.Options().Addr == n.name {
			return shard, true
		}
	}
	return 0, false
}

// slots is how many slots a Cluster has.
const slots = 16384

// checkCluster asks one node how the Cluster is: the first that answers, for
// where one is away it matters most.
func (e *examination) checkCluster(ctx context.Context) []Finding {
	var asked *node
	var text string
	var err error
	for _, asked = range e.nodes {
		if text, err = asked.client.ClusterInfo(ctx).Result(); err == nil {
			break
		}
	}
	if err != nil {
		return []Finding{unseen("its state", err)}
	}
	info := redisinfo.Fields(text)
	number := func(name string) int {
		v, _ := strconv.Atoi(info[name])
		return v
	}
	var found []Finding
	full := asked.config["cluster-require-full-coverage"]
	if n := number("cluster_slots_ok"); n < slots {
		what := "requests for them fail"
		if full == "yes" {
			what = "with cluster-require-full-coverage yes, all requests fail"
		}
		found = append(found, fail(fmt.Sprintf("%d of %d slots have no master: %s", slots-n, slots, what),
			remedy("bring their master back, or promote its replica there: CLUSTER FAILOVER FORCE; `redis-cli --cluster check HOST:PORT` names them")))
	}
	if state := info["cluster_state"]; state != "ok" && len(found) == 0 {
		found = append(found, fail("cluster_state is "+state, remedy("`redis-cli --cluster check HOST:PORT` says what is wrong")))
	}
	if suspected := number("cluster_slots_pfail") + number("cluster_slots_fail"); suspected > 0 {
		found = append(found, warn(fmt.Sprintf("the masters of %d slots do not answer the others", suspected), remedy("`redis-cli CLUSTER NODES` marks them fail or fail?: bring these back")))
	}
	if len(found) == 0 {
		f := ok("cluster_state ok, %d nodes, %d masters, all slots covered", number("cluster_known_nodes"), len(e.nodes))
		if full != "" {
			f.Found += ", cluster-require-full-coverage " + full
		}
		found = append(found, f)
	}
	return found
}
