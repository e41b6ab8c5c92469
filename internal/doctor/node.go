package doctor

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// node is one master.
type node struct {
	name string
	// client is of the doctor alone: it has one connection, and no name, so that
	// a user who may not give one can be examined.
	client *redis.Client
	// asked are the options with which serve connects there.
	asked *redis.Options

	info, config map[string]string
	// Why they could not be read.
	infoErr, configErr error
	// pingErr is what PING is answered with; Redis refuses it while it cannot save.
	pingErr error
	// role is "master", "slave" or "" if nothing tells; byHello says that only HELLO
	// does. Of a replica master is the address of its master.
	role, master string
	byHello      bool
	offset       offset
	// refusedFull says that it has refused to set a key because it was full.
	refusedFull bool
}

// parameters are the settings that are looked at.
var parameters = []string{
	"maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "min-replicas-to-write", "timeout",
	"tcp-keepalive", "busy-reply-threshold", "hash-max-listpack-value", "cluster-require-full-coverage", "tracking-table-max-keys",
}

func newNode(name string, o *redis.Options) *node {
	own := *o
	own.ClientName, own.DisableIdentity = "", true
	own.DialTimeout, own.ReadTimeout, own.WriteTimeout = reachTimeout, checkTimeout, checkTimeout
	own.PoolSize, own.MaxActiveConns, own.MinIdleConns, own.MaxIdleConns, own.PipelinePoolSize = 1, 1, 0, 0, -1
	n := &node{name: name, client: redis.NewClient(&own)}
	asked := *n.client.Options() // with a Dialer
	asked.ClientName = o.ClientName
	n.asked = &asked
	return n
}

// findNodes connects to every master.
func (e *examination) findNodes(ctx context.Context) bool {
	cluster := e.cluster()
	if cluster == nil {
		o := *e.Options
		o.Network, o.Addr = e.server.Network, e.server.Addr
		e.nodes = []*node{newNode(o.Addr, &o)}
	} else {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		masters, err := redisinfo.Masters(ctx, cluster)
		for _, m := range masters {
			o := m.(*redis.Client).Options()
			e.nodes = append(e.nodes, newNode(o.Addr, o))
		}
		if err != nil || len(e.nodes) == 0 {
			fix := remedy("`redis-cli -c CLUSTER SHARDS` says what the Cluster thinks; every node must announce an address that this machine can reach (cluster-announce-ip), and a new Cluster needs `redis-cli --cluster create`")
			switch {
			case err == nil:
			case strings.Contains(err.Error(), "cluster support disabled"):
				fix = remedy("it is no Cluster: use redis:// in --redis-url, or the addresses of the Cluster's nodes")
			case redis.HasErrorPrefix(err, "NOPERM"):
				fix = remedy("`cloakroom acl --cluster` prints what user %s needs on every node", e.user())
			}
			f := fail("the masters of the Cluster are not known: "+plain(err), fix)
			f.Check = "cluster"
			e.tell(f)
			return false
		}
	}
	e.sortNodes()
	var all sync.WaitGroup
	for _, n := range e.nodes {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			n.read(ctx)
		})
	}
	all.Wait() // I7
	return true
}

// read reads what most checks look at.
func (n *node) read(ctx context.Context) {
	n.config = map[string]string{}
	n.pingErr = n.client.Ping(ctx).Err()
	text, err := n.client.Info(ctx).Result()
	n.info, n.infoErr = redisinfo.Fields(text), err
	n.readRole(ctx)
	for _, p := range parameters {
		values, err := n.client.ConfigGet(ctx, p).Result()
		if err != nil {
			n.configErr = err
			return
		}
		if v, known := values[p]; known {
			n.config[p] = v
		}
	}
}

// readRole reads the role off INFO or, where that is forbidden, off ROLE, or off
// HELLO, which no ACL forbids.
func (n *node) readRole(ctx context.Context) {
	switch n.info["role"] {
	case "master":
		n.role = "master"
		return
	case "slave", "replica":
		n.role, n.master = "slave", net.JoinHostPort(n.info["master_host"], n.info["master_port"])
		return
	}
	reply, _ := n.client.Do(ctx, "ROLE").Slice()
	if len(reply) == 0 {
		hello, _ := n.client.Do(ctx, "HELLO").Result()
		if n.role = resp.HelloField(hello, "role"); n.role == "replica" {
			n.role = "slave"
		}
		n.byHello = n.role != ""
		return
	}
	n.role, _ = reply[0].(string)
	if n.role == "slave" && len(reply) > 2 {
		n.master = net.JoinHostPort(fmt.Sprint(reply[1]), fmt.Sprint(reply[2]))
	}
}

// number is a number of INFO, 0 if it is not there.
func (n *node) number(name string) int64 {
	v, _ := strconv.ParseInt(n.info[name], 10, 64)
	return v
}

// setting is a number of CONFIG GET; known is false if it is not there.
func (n *node) setting(name string) (v int64, known bool) {
	v, err := strconv.ParseInt(n.config[name], 10, 64)
	return v, err == nil
}

func (e *examination) close() {
	for _, n := range e.nodes {
		_ = n.client.Close()
	}
}

// bytes is a number of bytes for people.
func bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
