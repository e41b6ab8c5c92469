package cache

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

// ownersOf returns what finds the masters behind a client that sessions are on;
// nil if it is not known how.
func ownersOf(ctx context.Context, n *near, rdb redis.UniversalClient) (func(context.Context) ([]*owner, error), error) {
	switch rdb := rdb.(type) {
	case *redis.Client:
		one := []*owner{{client: rdb, link: rdb.Options()}}
		return func(context.Context) ([]*owner, error) { return one, nil }, nil
	case *redis.ClusterClient:
		if o := rdb.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			err := &errOff{errors.New("reads may go to replicas")}
			return func(context.Context) ([]*owner, error) { return nil, err }, nil
		}
		gates, err := newGates(ctx, n, rdb)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) ([]*owner, error) { return clusterOwners(ctx, rdb, n.space, gates) }, nil
	}
	return nil, nil
}

// clusterOwners asks a Cluster where the shards are. What it is told may be
// old, or wrong a moment later: the masters themselves have to prove it.
func clusterOwners(ctx context.Context, rdb *redis.ClusterClient, space *keys.Space, gates *gates) ([]*owner, error) {
	err := rdb.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil }) // which reads the topology
	if err != nil {
		return nil, err
	}
	var owners []*owner
	by := map[*redis.Client]*owner{}
	for shard := range space.Shards() {
		never := space.Never(shard)
		client, err := rdb.MasterForKey(ctx, never)
		if err != nil {
			return nil, err
		}
		o := by[client]
		if o == nil {
			o = &owner{client: client, link: client.Options(), gate: gates.of(client)}
			by[client] = o
			owners = append(owners, o)
		}
		o.never = append(o.never, never)
	}
	return owners, nil
}
