package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/redis/go-redis/v9"
)

var (
	// ErrDeposed says that a link is not to the master any more.
	ErrDeposed = errors.New("another server than the one that sends invalidations answers now, or it is no master any more")
	// ErrMoved says that a shard is not where it was.
	ErrMoved = errors.New("sessions have moved to another master")
)

// Prove asks in one round trip, over an ordinary connection, whether who answers there is this server, as a Link says
// (Server), a master, and has all shards of which never has a key. Other errors than ErrDeposed and ErrMoved leave that open.
func Prove(ctx context.Context, client redis.UniversalClient, server string, never []string) error {
	pipe := client.Pipeline()
	role, info := pipe.Do(ctx, "ROLE"), pipe.Info(ctx, "server")
	shards := make([]*redis.StringCmd, len(never))
	for i, key := range never {
		shards[i] = pipe.Get(ctx, key)
	}
	_, err := pipe.Exec(ctx) // each reply has its error
	if err := cmp.Or(role.Err(), info.Err()); err != nil {
		return err
	}
	if role.Val() == nil && err != nil { // nothing was sent
		return err
	}
	parts, _ := role.Slice()
	if len(parts) == 0 || parts[0] != "master" || redisinfo.Field(info.Val(), "run_id") != server {
		return ErrDeposed
	}
	for i, reply := range shards {
		err := reply.Err()
		_, moved := redis.IsMovedError(err)
		switch {
		case moved:
			return ErrMoved
		case err == nil:
			return fmt.Errorf("the key %s is there, and nothing may be stored under it", never[i])
		case !errors.Is(err, redis.Nil): // ASK and TRYAGAIN: the shard is being moved; CLUSTERDOWN
			return err
		}
	}
	return nil
}
