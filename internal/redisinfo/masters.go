// Package redisinfo asks what is behind a client of Redis: which masters there are, and which history of writes they have.
// Look here when a Cluster is not asked on all of its masters, or when a failover is not noticed.
package redisinfo

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// EachMaster does something with every master of a Cluster at the same time, or
// with the one server that there is. One master that is away is no fault as long as
// another answers: what it lacks, it gets when it is asked. do is called from several
// goroutines at a time, which have all ended when EachMaster returns.
func EachMaster(ctx context.Context, rdb redis.UniversalClient, do func(ctx context.Context, master redis.UniversalClient) error) error {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return do(ctx, rdb)
	}
	var mu sync.Mutex
	var faults error
	done := false
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		err := do(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		faults = errors.Join(faults, err)
		done = done || err == nil
		return nil
	})
	if err != nil || done {
		return err
	}
	return faults
}
