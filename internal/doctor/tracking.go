package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/redis/go-redis/v9"
)

// checkTracking makes a connection as the near cache does, sets and deletes a
// key in one transaction, so that nobody ever sees it, and waits to be told.
func (e *examination) checkTracking(ctx context.Context, n *node) []Finding {
	shard, has := e.shardAt(ctx, n)
	if !has {
		return []Finding{ok("%s has no shard, and so nothing to tell of", n.name)}
	}
	key := e.space.Nobodys('s', shard, "doctor-"+rand.Text())
	var untried error
	prefixes := e.space.Followed()
	if e.NearByKey {
		prefixes = nil
	}
	took, err := push.TryTracking(ctx, n.asked, prefixes, key, func(ctx context.Context) error {
		var set *redis.StatusCmd
		_, err := n.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			set = pipe.Set(ctx, key, "", time.Second)
			pipe.Del(ctx, key)
			return nil
		})
		if untried = err; set.Err() != nil { // which says more than EXECABORT
			untried = set.Err()
		}
		n.refusedFull = redis.HasErrorPrefix(untried, "OOM")
		return err
	})
	switch {
	case err == nil && e.NearByKey:
		return []Finding{ok("told of a change within %s (a key of ours, set and deleted in one transaction)", short(took)), trackingTable(n)}
	case err == nil:
		return []Finding{ok("told of a change within %s (a key of ours, set and deleted in one transaction)", short(took))}
	case untried != nil:
		return []Finding{unseen("whether Redis tells of changes; CLIENT TRACKING is on, but a key could not be set", untried)}
	case ctx.Err() != nil:
		return []Finding{fail(fmt.Sprintf("CLIENT TRACKING is on, and nothing was told of a change within %v", checkTimeout),
			remedy("no proxy between cloakroom and Redis may swallow what Redis sends by itself (RESP3 pushes)"), remedy("or do without: --near-cache-bytes=0; every read asks Redis then"))}
	}
	return []Finding{fail("the near cache cannot be kept right, and is off: "+plain(err),
		remedy("a missing right is named under rights; otherwise the server, or a proxy before it, has no CLIENT TRACKING"), remedy("or do without: --near-cache-bytes=0; every read asks Redis then"))}
}

// trackingTable looks how much of its table Redis has used for what near caches hold.
func trackingTable(n *node) Finding {
	most, known := n.setting("tracking-table-max-keys")
	if n.infoErr != nil || !known {
		return unseen("how many keys Redis may track for near caches (tracking-table-max-keys)", cmp.Or(n.infoErr, n.configErr))
	}
	have := n.number("tracking_total_keys")
	what := fmt.Sprintf("Redis tracks %d keys for near caches, and tracking-table-max-keys is %d", have, most)
	if most > 0 && have*100 >= most*trackingFull {
		return warn(what+": beyond it Redis has near caches forget what they hold", setting("tracking-table-max-keys", strconv.FormatInt(2*most, 10)))
	}
	if most == 0 {
		what = fmt.Sprintf("Redis tracks %d keys for near caches, and has no limit", have)
	}
	return ok("%s", what)
}

// trackingFull is how much of Redis' table may be used, in percent.
const trackingFull = 80

// short is a duration for people.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
