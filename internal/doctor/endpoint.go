package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
)

// freshLooks is how many new connections tell whether an address leads to
// several servers.
const freshLooks = 8

// checkKind makes sure that the URL is of the kind of the server, and says
// whether it is: what else is seen through a URL of another kind means nothing.
func (e *examination) checkKind(ctx context.Context) bool {
	if e.cluster() != nil || e.Master != "" {
		return true // findNodes and askSentinel have seen to that
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := cache.CheckKind(ctx, e.nodes[0].client, e.Prefix)
	var f Finding
	switch {
	case errors.Is(err, cache.ErrClusterNode):
		f = clusterNode(&e.server)
	case errors.Is(err, cache.ErrSentinel):
		f = fail("this is a Sentinel, and --redis-url is that of a Redis", remedy("--redis-url %s+sentinel://%s/MASTER; SENTINEL MASTERS says what MASTER is", e.server.scheme(), e.server.host()))
	default:
		return true
	}
	f.Check = "server"
	e.tell(f)
	return false
}

// clusterNode is about a URL of one server that leads to a node of a Cluster.
func clusterNode(p *Address) Finding {
	return fail("this is a node of a Redis Cluster, and --redis-url is that of a single server",
		remedy("--redis-url %s+cluster://%s; further nodes may follow, with commas between", p.scheme(), p.host()))
}

func (p *Address) scheme() string {
	if p.TLS != nil {
		return "rediss"
	}
	return "redis"
}

// host is the address as a URL has it; that of a unix socket is not known.
func (p *Address) host() string {
	if p.Network == "unix" {
		return "HOST:PORT"
	}
	return p.Addr
}

// checkEndpoint makes several connections, one after the other, and looks
// whether all reach the same server.
func (e *examination) checkEndpoint(ctx context.Context) []Finding {
	seen := map[string]bool{}
	master := ""
	for range freshLooks {
		o := *e.Options
		o.Network, o.Addr = e.server.Network, e.server.Addr
		n := newNode(o.Addr, &o)
		info, err := n.client.Info(ctx).Result()
		n.info = redisinfo.Fields(info)
		n.readRole(ctx)
		_ = n.client.Close()
		if err != nil && n.role == "" {
			continue
		}
		what := n.role
		if what == "slave" {
			what, master = "replica of "+n.master, n.master
		}
		if id := n.info["run_id"]; id != "" {
			what += ", run ID " + id[:min(8, len(id))]
		}
		seen[what] = true
	}
	if len(seen) < 2 {
		return nil
	}
	return []Finding{fail(fmt.Sprintf("%d new connections to %s have reached %d servers: %s", freshLooks, e.server.Addr, len(seen), strings.Join(slices.Sorted(maps.Keys(seen)), "; ")),
		remedy("--redis-url must lead to one server alone, the master%s, and not to a balancer over several; if it may change, name the Sentinels or the Cluster", ifKnown(master)))}
}
