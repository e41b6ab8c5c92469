package peers

import (
	"context"
	"errors"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/source"
	"github.com/redis/go-redis/v9"
)

// goRedis asks as most programs do: for a user's IDs, then for their sessions in one pipeline.
type goRedis struct{ client *redis.Client }

func openGoRedis(ctx context.Context, urls URLs) (Peer, error) {
	client, err := source.OpenRedis(urls.Redis, 0)
	if err != nil {
		return nil, err
	}
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &goRedis{client}, nil
}

// Search implements Peer.
func (g *goRedis) Search(ctx context.Context, user string, since time.Time) (Found, error) {
	// go-redis gives up ZREVRANGEBYSCORE for this: ZRANGE … BYSCORE REV.
	ids, err := g.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: userKey(user), Start: "+inf", Stop: score(since), ByScore: true, Rev: true}).Result()
	if err != nil || len(ids) == 0 {
		return Found{}, err
	}
	gets := make([]*redis.StringCmd, len(ids))
	if _, err := g.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			gets[i] = p.HGet(ctx, sessionKey(id), document)
		}
		return nil
	}); err != nil {
		return Found{}, err
	}
	found := Found{Total: len(ids), Sessions: make([]string, len(ids))}
	for i, get := range gets {
		found.Sessions[i] = get.Val()
	}
	return found, nil
}

// Get implements Peer.
func (g *goRedis) Get(ctx context.Context, id string) (string, error) {
	text, err := g.client.HGet(ctx, sessionKey(id), document).Result()
	if errors.Is(err, redis.Nil) {
		return "", ErrNotFound
	}
	return text, err
}

// Close implements Peer.
func (g *goRedis) Close() { _ = g.client.Close() }
