package redisinfo

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// History returns what Redis is known by: it is another text if another
// server, or another history of writes, is behind the address than before.
func History(ctx context.Context, rdb redis.UniversalClient) (string, error) {
	var mu sync.Mutex
	var all []string
	err := EachMaster(ctx, rdb, func(ctx context.Context, master redis.UniversalClient) error {
		one, err := historyOf(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, one)
		return err
	})
	slices.Sort(all)
	return strings.Join(all, "\n"), err
}

// historyOf returns the run ID of a server, and the name of the history of
// writes that it has.
func historyOf(ctx context.Context, c redis.Cmdable) (string, error) {
	info, err := c.Info(ctx, "server", "replication").Result()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(Field(info, "run_id") + " " + Field(info, "master_replid")), nil
}
