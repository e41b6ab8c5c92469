package redistest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// Slots is how many slots every cluster has.
	Slots = 16384
	// clusterTimeout bounds what a cluster may take to agree.
	clusterTimeout = 30 * time.Second
)

// ClusterConfig says what cluster to start. The zero value is three masters with one replica each, without TLS and
// passwords.
type ClusterConfig struct {
	Masters  int  // default 3
	Replicas int  // of each master; default 1
	Single   bool // masters have no replicas; such a cluster takes two seconds more to start
	Access   Access
	Conf     []string // lines of redis.conf for every node
}

// Cluster is a Redis Cluster of one test. Its methods must not be called from several goroutines at once.
type Cluster struct {
	// Nodes are the masters at the start, in the order of their slots, then their replicas: of the first master, the
	// second, …
	Nodes []*Node

	t      testing.TB
	config ClusterConfig
}

// Node is a server of a Cluster, or was once.
type Node struct {
	*Server
	// ID is what the cluster calls it.
	ID string

	bus string // port
}

// StartCluster starts the servers of a cluster, and waits until it is ready and the replicas are in sync. That takes
// half a second.
//
// Nobody introduces the nodes to each other: each begins with a file that names them all. A master that starts waits two
// seconds before it serves, a replica that takes over does not; so those that are to be masters begin as replicas.
func StartCluster(t testing.TB, config ClusterConfig) *Cluster {
	t.Helper()
	if config.Masters == 0 {
		config.Masters = 3
	}
	switch {
	case config.Single:
		config.Replicas = 0
	case config.Replicas == 0:
		config.Replicas = 1
	}
	c := &Cluster{t: t, config: config}
	for range config.Masters * (1 + config.Replicas) {
		s := prepare(t)
		s.access = config.Access
		c.Nodes = append(c.Nodes, &Node{Server: s, ID: nodeID()})
	}
	var err error
	for range startTries {
		if err = c.start(); err == nil {
			break
		}
		for _, n := range c.Nodes {
			n.Kill()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if !config.Single {
		for k := range config.Masters {
			// On a busy machine a replica may have taken over already: it refuses.
			if _, err := c.Nodes[k].ask("CLUSTER", "FAILOVER", "TAKEOVER"); err != nil && !redis.HasErrorPrefix(err, "ERR You should send CLUSTER FAILOVER to a replica") {
				t.Fatalf("redistest: takeover: %v", err)
			}
		}
	}
	c.WaitReady()
	return c
}

func nodeID() string {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// start chooses addresses and starts all nodes.
func (c *Cluster) start() error {
	for _, n := range c.Nodes {
		n.Addr, n.bus = FreeAddr(c.t), port(FreeAddr(c.t))
		n.conf = append([]string{
			"cluster-enabled yes",
			"cluster-port " + n.bus,
			"cluster-node-timeout 1000",
			"cluster-replica-validity-factor 0", // a replica takes over however long its master has been silent
			"repl-diskless-sync yes",
			"repl-diskless-sync-delay 0",
		}, c.config.Access.replicate()...)
		if c.config.Access.Certificates != nil {
			n.conf = append(n.conf, "tls-cluster yes")
		}
		n.conf = append(n.conf, c.config.Conf...)
	}
	for _, n := range c.Nodes {
		if err := os.WriteFile(filepath.Join(n.dir, "nodes.conf"), []byte(c.file(n)), 0o600); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

// file is what node n knows of the cluster when it starts. The first replica of each master has the slots that the master
// is to take over.
func (c *Cluster) file(n *Node) string {
	var b strings.Builder
	masters := c.config.Masters
	for i, other := range c.Nodes {
		k := i // the number of its master
		if i >= masters {
			k = (i - masters) / c.config.Replicas
		}
		owner := c.Nodes[k]
		if !c.config.Single {
			owner = c.Nodes[masters+k*c.config.Replicas]
		}
		flags, of, slots := "slave", owner.ID, ""
		if other == owner {
			flags, of = "master", "-"
			slots = fmt.Sprintf(" %d-%d", k*Slots/masters, (k+1)*Slots/masters-1)
		}
		if other == n {
			flags = "myself," + flags
		}
		fmt.Fprintf(&b, "%s %s@%s %s %s 0 0 %d connected%s\n", other.ID, other.Addr, other.bus, flags, of, k+1, slots)
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", masters)
	return b.String()
}

// URL returns the cluster's nodes as a redis+cluster:// or rediss+cluster:// URL.
func (c *Cluster) URL() string {
	return c.config.Access.url("+cluster") + strings.Join(c.Addrs(), ",")
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr
	}
	return addrs
}

// Client returns a client of the cluster, closed at the end of t. It honours the deadlines of contexts, and waits for
// replies as Server.Client does. Each option may change its settings.
func (c *Cluster) Client(t testing.TB, options ...func(*redis.ClusterOptions)) *redis.ClusterClient {
	t.Helper()
	o := &redis.ClusterOptions{
		Addrs:                    c.Addrs(),
		Protocol:                 3,
		PipelinePoolSize:         -1,
		ReadTimeout:              replyTimeout,
		WriteTimeout:             replyTimeout,
		PoolTimeout:              replyTimeout,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Username:                 c.config.Access.User,
		Password:                 c.config.Access.Password,
		TLSConfig:                c.config.Access.tlsConfig(),
	}
	for _, option := range options {
		option(o)
	}
	client := redis.NewClusterClient(o)
	t.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("redistest: close the client: %v", err)
		}
	})
	return client
}

// WaitReady waits until all nodes that run agree who is master of which slots, serve them all, and every replica is in
// sync with a master that runs.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	wait(c.t, "the cluster is ready", clusterTimeout, c.fault)
}

// fault says why the cluster is not ready.
func (c *Cluster) fault() error {
	var first *clusterView
	for _, n := range c.Nodes {
		if n.away() {
			continue
		}
		info, err := n.info("CLUSTER", "INFO")
		if err != nil {
			return fmt.Errorf("%s: %w", n.Addr, err)
		}
		if info["cluster_state"] != "ok" || info["cluster_slots_ok"] != fmt.Sprint(Slots) {
			return fmt.Errorf("%s: state %s, %s slots", n.Addr, info["cluster_state"], info["cluster_slots_ok"])
		}
		view, err := n.view()
		if err != nil {
			return err
		}
		if first == nil {
			first = view
		}
		if !slices.Equal(view.owner, first.owner) {
			return fmt.Errorf("%s disagrees on who is master of what", n.Addr)
		}
		for _, other := range c.Nodes {
			if view.master[other.ID] != first.master[other.ID] {
				return fmt.Errorf("%s disagrees on what %s is", n.Addr, other.Addr)
			}
		}
	}
	if first == nil {
		return errors.New("no node runs")
	}
	for _, n := range c.Nodes {
		if n.away() {
			if slices.Contains(first.owner, n.ID) {
				return fmt.Errorf("%s is away and has slots still", n.Addr)
			}
			continue
		}
		info, err := n.info("INFO", "replication")
		if err != nil {
			return err
		}
		isMaster := first.master[n.ID] == "-"
		switch {
		case isMaster != (info["role"] == "master"):
			return fmt.Errorf("%s is a %s", n.Addr, info["role"])
		case !isMaster && (info["master_link_status"] != "up" || info["master_sync_in_progress"] != "0"):
			return fmt.Errorf("%s is not in sync", n.Addr)
		}
	}
	return nil
}
