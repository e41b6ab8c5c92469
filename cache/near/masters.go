package near

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/redis/go-redis/v9"
)

// owner is a master that sessions are on, and how it is reached.
type owner struct {
	// client makes ordinary connections, those that loads go over.
	client *redis.Client
	// link says where the link goes: where client goes.
	link *redis.Options
	// searches says where searches go, if they have a client of their own that
	// goes where it wants: to the same server, it is to be hoped.
	searches *redis.Options
	// never are the keys, one of each of its shards, that prove it to have these:
	// nothing is stored there. There are none if it is the only master.
	never []string
	// gates keep what others answer from being held; none if there are no others.
	gates []*gate
}

// findOwners finds the masters that sessions are on.
type findOwners func(context.Context) ([]*owner, error)

// ownersOf returns what finds the masters behind the clients that single reads
// and searches use; links have a name that begins with name. It watches the
// clients' connections from then on (gate).
func ownersOf(ctx context.Context, n *Cache, gets, searches redis.UniversalClient, name string) (findOwners, error) {
	switch gets := gets.(type) {
	case *redis.Client:
		one := &owner{client: gets, link: named(gets.Options(), name)}
		if other, ok := searches.(*redis.Client); ok && other != gets {
			one.searches = other.Options()
		}
		return func(context.Context) ([]*owner, error) { return []*owner{one}, nil }, nil
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
		gates, err := newGates(ctx, n, clients)
		return func(ctx context.Context) ([]*owner, error) { return clusterOwners(ctx, clients, n.space, gates, name) }, err
	}
	return off(fmt.Sprintf("who is master behind a %T is not known", gets)), nil
}

// named returns o with another client name.
func named(o *redis.Options, name string) *redis.Options {
	it := *o
	it.ClientName = name
	return &it
}

func off(why string) findOwners {
	err := &push.OffError{Err: errors.New(why)}
	return func(context.Context) ([]*owner, error) { return nil, err }
}

// clusterOwners asks a Cluster where the shards are. What it is told may be
// old, or wrong a moment later: the masters themselves have to prove it. A gate
// is opened only where all clients go to the same master.
func clusterOwners(ctx context.Context, clients []*redis.ClusterClient, space *keys.Space, gates *gates, name string) ([]*owner, error) {
	for _, c := range clients { // which reads the topology
		if err := c.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil }); err != nil {
			return nil, err
		}
	}
	var owners []*owner
	by := map[*redis.Client]*owner{}
	for shard := range space.Shards() {
		never := space.Never(shard)
		var o *owner
		for i, c := range clients {
			node, err := c.MasterForKey(ctx, never)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				if o = by[node]; o == nil {
					o = &owner{client: node, link: named(node.Options(), name)}
					by[node] = o
					owners = append(owners, o)
				}
				o.never = append(o.never, never)
			}
			if g := gates.of(node); node.Options().Addr == o.link.Addr && !slices.Contains(o.gates, g) {
				o.gates = append(o.gates, g)
			}
		}
	}
	return owners, nil
}
