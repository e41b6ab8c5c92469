package cache

import (
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/redis/go-redis/v9"
)

// trips makes round trips that concurrent callers share: a *batch.Batcher, or a
// *batch.Cluster, which has one for each master.
type trips interface {
	Do(ctx context.Context, cmds ...redis.Cmder) error
	Stats() batch.Stats
	Close()
}

// queued is how many commands may wait; 0 is the default. Callers
// beyond that are refused.
func newTrips(rdb redis.UniversalClient, queued int) trips {
	c := batch.Config{Timeout: tripTimeout, MaxQueued: queued}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return batch.NewCluster(cluster, c)
	}
	return batch.New(rdb, c)
}

// loadScripts loads all scripts on a server in one trip, and asks whether it supports waiting for replicas. A user who may
// not SCRIPT does without: a script that EVALSHA does not find is sent by EVAL, which leaves it there.
//
// It does not call redis.Script's Load, which makes the server's reply the hash of the script in this whole process: one
// server that names a script otherwise would have every other server asked for the wrong hash.
func (s *Store) loadScripts(ctx context.Context, master redis.UniversalClient) error {
	s.acks.probe(ctx, master)
	_, err := master.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, text := range slices.Concat([]string{putLua, deleteLua, admitLua, endLua, outdateLua}, index.Scripts(), audit.Scripts()) {
			pipe.ScriptLoad(ctx, text)
		}
		return nil
	})
	if acl.Forbidden(err) {
		return nil
	}
	return err
}
