package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

// A deployment records, in one key, the layout of what it stores and the number
// of shards. The first process to come writes it, and all others must agree.

// layout is the version of what is in Redis. A program reads one layout.
const layout = 2

// clusterShards is how many shards a new store on a Cluster has. Each is in one
// slot, so that it is also how many masters can share the load.
const clusterShards = 32

// defaultShards is P where nobody has said and none is recorded.
func defaultShards(rdb redis.UniversalClient) int {
	if _, ok := rdb.(*redis.ClusterClient); ok {
		return clusterShards
	}
	return 1
}

// ErrForeign says that the key in which the number of shards is recorded has
// something else.
var ErrForeign = errors.New("is not Cloakroom's; choose another key prefix")

// LayoutError says that what is stored has another layout than this version of
// Cloakroom reads.
type LayoutError struct {
	Prefix string
	Layout int
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("the sessions under the key prefix %q have layout %d, and this version of Cloakroom reads layout %d only", e.Prefix, e.Layout, layout)
}

// Recorded returns the number of shards that is recorded under a prefix; if none
// is, recorded is false, and it is the one that Open would record if it were not
// told another. Errors that are neither ErrForeign nor a *LayoutError are Redis'.
func Recorded(ctx context.Context, rdb redis.UniversalClient, prefix string) (shards int, recorded bool, err error) {
	space, err := keys.NewSpace(prefix, 1)
	if err != nil {
		return 0, false, err
	}
	shards, err = readRecord(ctx, rdb, space)
	if errors.Is(err, redis.Nil) {
		return defaultShards(rdb), false, nil
	}
	return shards, err == nil, err
}

// readRecord is Recorded that answers redis.Nil if nothing is recorded.
func readRecord(ctx context.Context, rdb redis.UniversalClient, space *keys.Space) (shards int, err error) {
	text, err := rdb.Get(ctx, space.Meta()).Result()
	foreign := redis.HasErrorPrefix(err, "WRONGTYPE")
	if err != nil && !foreign {
		return 0, err
	}
	var have int
	if _, err := fmt.Sscanf(text, "layout=%d shards=%d", &have, &shards); foreign || err != nil {
		return 0, fmt.Errorf("the key %s %w", space.Meta(), ErrForeign)
	}
	if have != layout {
		return 0, &LayoutError{space.Prefix(), have}
	}
	return shards, nil
}

// agreeOnShards returns the recorded number of shards. If none is recorded, it
// records the one that is asked for, or the default if that is 0. It refuses
// another number than the recorded one.
func agreeOnShards(ctx context.Context, rdb redis.UniversalClient, prefix string, asked int) (int, error) {
	space, err := keys.NewSpace(prefix, cmp.Or(asked, defaultShards(rdb)))
	if err != nil {
		return 0, err
	}
	have, err := readRecord(ctx, rdb, space)
	if errors.Is(err, redis.Nil) { // only then written: a full Redis takes no write, and must open all the same
		err = rdb.SetNX(ctx, space.Meta(), fmt.Sprintf("layout=%d shards=%d", layout, space.Shards()), 0).Err()
		if err == nil {
			have, err = readRecord(ctx, rdb, space)
		}
	}
	_, otherLayout := errors.AsType[*LayoutError](err)
	switch {
	case otherLayout:
		return 0, fmt.Errorf("%w; choose another key prefix", err)
	case errors.Is(err, ErrForeign):
		return 0, err
	case err != nil:
		return 0, unavailable(err)
	case asked != 0 && asked != have:
		return 0, fmt.Errorf("the sessions under the key prefix %q are spread over %d shards, not %d; to change that, export them and import them under another prefix", prefix, have, asked)
	}
	return have, nil
}
