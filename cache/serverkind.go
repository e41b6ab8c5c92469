package cache

import (
	"context"
	"errors"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// Open refuses a server that needs another client than Config.Redis. Waiting
// does not help, so none of these is session.ErrUnavailable.
var (
	// ErrClusterNode says that a client of one server reaches a node of a Cluster.
	ErrClusterNode = errors.New("this is a node of a Redis Cluster, and the client is that of a single server")
	// ErrSentinel says that a client of one server reaches a Sentinel.
	ErrSentinel = errors.New("this is a Sentinel, and the client is that of a Redis")
	// ErrNoCluster says that a client of a Cluster reaches a single server.
	ErrNoCluster = errors.New("this is a single Redis, and the client is that of a Cluster")
)

// CheckKind makes sure that the client fits the server: its errors are ErrClusterNode,
// ErrSentinel and ErrNoCluster, and session.ErrUnavailable if the server does not answer.
func CheckKind(ctx context.Context, rdb redis.UniversalClient, prefix string) error {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		if err := cluster.Ping(ctx).Err(); err != nil && strings.Contains(err.Error(), "cluster support disabled") {
			return ErrNoCluster
		}
		return nil // what else is wrong, later calls tell
	}
	mode, err := serverMode(ctx, rdb, prefix)
	switch {
	case err != nil:
		return unavailable(err)
	case mode == "cluster":
		return ErrClusterNode
	case mode == "sentinel":
		return ErrSentinel
	}
	return nil
}

// serverMode returns "cluster" for a node of a Cluster, also one that has the
// slot of every shard at the moment, "sentinel" for a Sentinel, and another word
// for a single server. HELLO tells, and no ACL forbids it. Where it was renamed,
// a script that is not there tells, called with keys of two slots: a Cluster
// refuses these before it looks for the script.
func serverMode(ctx context.Context, rdb redis.UniversalClient, prefix string) (string, error) {
	reply, err := rdb.Do(ctx, "HELLO").Result()
	if err == nil {
		return resp.HelloField(reply, "mode"), nil
	}
	if strings.Contains(err.Error(), "SELECT is not allowed in cluster mode") {
		return "cluster", nil
	}
	if !strings.HasPrefix(err.Error(), "ERR ") { // among them LOADING, and no answer at all
		return "", err
	}
	space, err := keys.NewSpace(prefix, 2)
	if err != nil {
		return "", err
	}
	err = rdb.EvalSha(ctx, strings.Repeat("0", 40), []string{space.Nobodys('s', 0, "mode"), space.Nobodys('s', 1, "mode")}).Err()
	for _, refusal := range []string{"CROSSSLOT", "MOVED", "CLUSTERDOWN"} {
		if redis.HasErrorPrefix(err, refusal) {
			return "cluster", nil
		}
	}
	return "", nil
}
