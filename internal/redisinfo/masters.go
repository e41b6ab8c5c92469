// Package redisinfo asks what is behind a client of Redis: which masters there are, what INFO says of a server, and which
// history of writes it has. Look here when a Cluster is not asked on all of its masters, or when a failover is not noticed.
package redisinfo

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// EveryMaster does something with every master of a Cluster at the same time, or
// with the one server that there is. Its error is that of a master, whichever
// it was, but the others are asked all the same; or that the Cluster does not say
// who its masters are. do is called from several goroutines at a time, which have
// all ended when EveryMaster returns.
func EveryMaster(ctx context.Context, rdb redis.UniversalClient, do func(ctx context.Context, master redis.UniversalClient) error) error {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return do(ctx, rdb)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return do(ctx, master) })
}

// EachMaster is EveryMaster for what one master that is away may miss, as long as
// another answers: what it lacks, it gets when it is asked.
func EachMaster(ctx context.Context, rdb redis.UniversalClient, do func(ctx context.Context, master redis.UniversalClient) error) error {
	var mu sync.Mutex
	var faults []error
	done := false
	err := EveryMaster(ctx, rdb, func(ctx context.Context, master redis.UniversalClient) error {
		err := do(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			faults = append(faults, err)
		}
		done = done || err == nil
		return nil
	})
	switch {
	case err != nil || done:
		return err
	case len(faults) == 1:
		return faults[0]
	}
	return errors.Join(faults...)
}

// Masters returns a client of every master of a Cluster, or of the one server
// that there is. A Cluster that has none at the moment returns none.
func Masters(ctx context.Context, rdb redis.UniversalClient) ([]redis.UniversalClient, error) {
	var mu sync.Mutex
	var masters []redis.UniversalClient
	err := EveryMaster(ctx, rdb, func(_ context.Context, master redis.UniversalClient) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, master)
		return nil
	})
	return masters, err
}
