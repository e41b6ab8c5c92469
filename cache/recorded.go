package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

// ErrForeign says that the key in which the number of shards is recorded has
// something else.
var ErrForeign = errors.New("it is not Cloakroom's; choose another key prefix")

// Recorded returns the number of shards that is recorded under a prefix; if none
// is, recorded is false, and it is the one that Open would record if it were not
// told another. Errors that are neither ErrForeign nor a *LayoutError are Redis'.
func Recorded(ctx context.Context, rdb redis.UniversalClient, prefix string) (shards int, recorded bool, err error) {
	space, err := keys.NewSpace(prefix, 1)
	if err != nil {
		return 0, false, err
	}
	text, err := rdb.Get(ctx, space.Meta()).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return defaultShards(rdb), false, nil
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return 0, false, ErrForeign
	case err != nil:
		return 0, false, err
	}
	have, shards, ok := parseRecord(text)
	switch {
	case !ok:
		return 0, false, ErrForeign
	case have != layout:
		return 0, false, &LayoutError{have}
	}
	return shards, true, nil
}

// LayoutError says that what is stored has another layout than this version of
// Cloakroom reads.
type LayoutError struct{ Layout int }

func (e *LayoutError) Error() string {
	return fmt.Sprintf("what is stored has layout %d, and this version of Cloakroom reads layout %d only", e.Layout, layout)
}

func parseRecord(text string) (layout, shards int, ok bool) {
	_, err := fmt.Sscanf(text, "layout=%d shards=%d", &layout, &shards)
	return layout, shards, err == nil
}
