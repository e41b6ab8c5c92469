package redisinfo

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// asks asks masters in one of the ways, and says how many were asked. As many as
// fail fail.
func asks(t *testing.T, rdb redis.UniversalClient, each func(context.Context, redis.UniversalClient, func(context.Context, redis.UniversalClient) error) error, fail int64) (asked int64, err error) {
	var n atomic.Int64
	err = each(t.Context(), rdb, func(ctx context.Context, master redis.UniversalClient) error {
		if n.Add(1) <= fail {
			return errAway
		}
		return master.Ping(ctx).Err()
	})
	return n.Load(), err
}

var errAway = errors.New("away")

func TestMasters(t *testing.T) {
	single, cluster := redistest.Start(t).Client(t), redistest.StartCluster(t, redistest.ClusterConfig{})
	masters := int64(len(cluster.Masters()))
	for _, c := range []struct {
		rdb     redis.UniversalClient
		masters int64
	}{{single, 1}, {cluster.Client(t), masters}} {
		for fail := range c.masters + 1 {
			if n, err := asks(t, c.rdb, EveryMaster, fail); n != c.masters || errors.Is(err, errAway) != (fail > 0) || fail == 0 && err != nil {
				t.Errorf("every master of %d, %d fail: %d asked, %v", c.masters, fail, n, err)
			}
			if n, err := asks(t, c.rdb, EachMaster, fail); n != c.masters || errors.Is(err, errAway) != (fail == c.masters) || fail < c.masters && err != nil {
				t.Errorf("each master of %d, %d fail: %d asked, %v", c.masters, fail, n, err)
			}
		}
		found, err := Masters(t.Context(), c.rdb)
		if int64(len(found)) != c.masters || err != nil {
			t.Errorf("%d masters, want %d: %v", len(found), c.masters, err)
		}
		seen := map[string]bool{}
		for _, m := range found {
			seen[m.(*redis.Client).Options().Addr] = true
		}
		if int64(len(seen)) != c.masters {
			t.Errorf("%v, want %d masters", seen, c.masters)
		}
	}
}

func TestHistory_ChangesWithTheServer(t *testing.T) {
	of := func(rdb redis.UniversalClient) string {
		t.Helper()
		text, err := History(t.Context(), rdb)
		if err != nil || len(text) < 2*40+1 {
			t.Fatalf("%q, %v", text, err)
		}
		return text
	}
	a, b := redistest.Start(t).Client(t), redistest.Start(t).Client(t)
	first, again, other := of(a), of(a), of(b)
	if first != again || first == other {
		t.Errorf("%q, %q, of another server %q", first, again, other)
	}
}
