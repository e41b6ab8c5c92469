package near

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/redis/go-redis/v9"
)

// master says how a master that has sessions is reached.
type master struct {
	// client makes ordinary connections, those that loads go over.
	client *redis.Client
	// link says where the link goes: where client goes.
	link *redis.Options
	// searches says where searches go if they have a client of their own, which may
	// reach another server; nil if they have none. checkSearches compares the two.
	searches *redis.Options
	// shards are its shards, and never the keys, one of each of them, that prove it to have
	// these: nothing is stored there. There are none if it is the only master.
	shards []int
	never  []string
	// guards keep answers of other nodes from being held; empty on a single Redis.
	guards []*clusterGuard
}

// has says whether a shard is one of the master's.
func (m *master) has(shard int) bool { return m.shards == nil || slices.Contains(m.shards, shard) }

// findMasters finds the masters that sessions are on.
type findMasters func(context.Context) ([]*master, error)

// mastersOf returns what finds the masters behind the clients that single reads
// and searches use; links have a name that begins with name. It watches the
// clients' connections from then on (clusterGuard).
func mastersOf(ctx context.Context, n *Cache, gets, searches redis.UniversalClient, name string) (findMasters, error) {
	switch gets := gets.(type) {
	case *redis.Client:
		one := &master{client: gets, link: named(gets.Options(), name)}
		if other, ok := searches.(*redis.Client); ok && other != gets {
			one.searches = other.Options()
		}
		return func(context.Context) ([]*master, error) { return []*master{one}, nil }, nil
	case *redis.ClusterClient:
		clients := []*redis.ClusterClient{gets}
		if other, ok := searches.(*redis.ClusterClient); ok && other != gets {
			clients = append(clients, other)
		}
		for _, c := range clients {
			if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
				return off("reads may go to replicas"), nil
			}
		}
		guards, err := newClusterGuards(ctx, n, clients)
		return func(ctx context.Context) ([]*master, error) {
			return mastersOfCluster(ctx, clients, n.space, guards, name)
		}, err
	}
	return off(fmt.Sprintf("who is master behind a %T is not known", gets)), nil
}

// named returns o with another client name.
func named(o *redis.Options, name string) *redis.Options {
	it := *o
	it.ClientName = name
	return &it
}

func off(why string) findMasters {
	err := &push.OffError{Err: errors.New(why)}
	return func(context.Context) ([]*master, error) { return nil, err }
}

// mastersOfCluster asks a Cluster where the shards are. What it is told may be
// old, or wrong a moment later: the masters themselves have to prove it. A guard
// counts as one of a master only where all clients go to the same master.
func mastersOfCluster(ctx context.Context, clients []*redis.ClusterClient, space *keys.Space, guards *clusterGuards, name string) ([]*master, error) {
	for _, c := range clients { // which reads the topology
		if _, err := redisinfo.Masters(ctx, c); err != nil {
			return nil, err
		}
	}
	var masters []*master
	by := map[*redis.Client]*master{}
	for shard := range space.Shards() {
		never := space.Never(shard)
		var m *master
		for i, c := range clients {
			node, err := c.MasterForKey(ctx, never)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				if m = by[node]; m == nil {
					m = &master{client: node, link: named(node.Options(), name)}
					by[node] = m
					masters = append(masters, m)
				}
				m.shards, m.never = append(m.shards, shard), append(m.never, never)
			}
			if g := guards.of(node); node.Options().Addr == m.link.Addr && !slices.Contains(m.guards, g) {
				m.guards = append(m.guards, g)
			}
		}
	}
	return masters, nil
}
