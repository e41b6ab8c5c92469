package cache

import (
	"context"
	"errors"

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

// loadScripts loads all scripts on a server, and asks whether it lets wait for
// replicas. A user who may not SCRIPT does without: whatever EVALSHA does not find
// is sent by EVAL, which leaves it there.
func (s *Store) loadScripts(ctx context.Context, master redis.UniversalClient) error {
	s.acks.probe(ctx, master)
	err := errors.Join(putScript.Load(ctx, master).Err(), deleteScript.Load(ctx, master).Err(), admitScript.Load(ctx, master).Err(), s.index.Load(ctx, master), audit.Load(ctx, master))
	if acl.Forbidden(err) {
		return nil
	}
	return err
}
