package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// checkShards compares the recorded number of shards with the configured one
// and with the number of masters.
func (e *examination) checkShards(ctx context.Context) []Finding {
	shards, recorded, err := cache.Recorded(ctx, e.keysClient(), e.Prefix)
	if !recorded && e.Shards != 0 {
		shards = e.Shards
	}
	space, spaceErr := keys.NewSpace(e.Prefix, shards)
	if spaceErr != nil { // the recorded number is none
		space, _ = keys.NewSpace(e.Prefix, 1)
	}
	e.space = space
	meta := space.Meta()
	var layout *cache.LayoutError
	switch {
	case err == nil && spaceErr != nil, errors.Is(err, cache.ErrForeign):
		return []Finding{fail("the key "+meta+" has something that is not cloakroom's", remedy("choose another --redis-key-prefix, or another database"))}
	case errors.As(err, &layout):
		return []Finding{fail(layout.Error(), remedy("choose another --redis-key-prefix, or run the version that stored it"))}
	case err != nil:
		return []Finding{unseen("the number of shards in "+meta, err)}
	case recorded && e.Shards != 0 && e.Shards != shards:
		return []Finding{fail(fmt.Sprintf("the sessions are spread over %d shards, and --redis-shards is %d: serve will not start", shards, e.Shards),
			remedy("--redis-shards=0, which takes the recorded number; to change that, export the sessions and import them under another prefix"))}
	}
	what := fmt.Sprintf("%d, recorded in %s", shards, meta)
	if !recorded {
		what = fmt.Sprintf("none recorded in %s; the first serve will record %d", meta, shards)
	}
	if masters := len(e.nodes); shards < masters {
		return []Finding{warn(fmt.Sprintf("%s, for %d masters: some have nothing to do", what, masters), remedy("start anew under another --redis-key-prefix with a larger --redis-shards (32 is the default on a Cluster), and import the sessions there"))}
	}
	return []Finding{ok("%s", what)}
}

const (
	// backlogLate is a number of due sessions that sweepers which run never leave.
	backlogLate = 1000
	// The clock of Redis may be off by so much before it is worth a word.
	clockOff = time.Second
	// clocksApart is how far those of masters may be apart.
	clocksApart = 500 * time.Millisecond
	// slow is a round trip that leaves little of the time that a verify has.
	slow = 25 * time.Millisecond
	// trips is how many are made.
	trips = 5
)

// offset is how far a server's clock is ahead of ours, give or take.
type offset struct {
	ahead, give time.Duration
	known       bool
}

// checkClock compares clocks. Cloakroom goes by that of Redis; tokens of
// issuers go by ours.
func checkClock(ctx context.Context, n *node) []Finding {
	for range trips {
		sent := time.Now()
		t, err := n.client.Time(ctx).Result()
		took := time.Since(sent)
		if err != nil {
			return []Finding{unseen("its clock", err)}
		}
		if !n.offset.known || took/2 < n.offset.give {
			n.offset = offset{t.Sub(sent.Add(took / 2)), took / 2, true}
		}
	}
	off := n.offset.ahead.Abs()
	word := "ahead of"
	if n.offset.ahead < 0 {
		word = "behind"
	}
	if off-n.offset.give > clockOff {
		return []Finding{warn(fmt.Sprintf("that of Redis is %s %s this machine's; sessions end by that of Redis", short(off), word),
			remedy("set both by NTP: `timedatectl set-ntp true`, or chronyd; `timedatectl` shows which is wrong"))}
	}
	return []Finding{ok("that of Redis is within %s of this machine's", short(off+n.offset.give))}
}

// checkClocks compares the clocks of masters with each other.
func (e *examination) checkClocks(context.Context) []Finding {
	var first, last *node
	for _, n := range e.nodes {
		if !n.offset.known {
			continue
		}
		if first == nil || n.offset.ahead < first.offset.ahead {
			first = n
		}
		if last == nil || n.offset.ahead > last.offset.ahead {
			last = n
		}
	}
	if first == last {
		return nil
	}
	apart := last.offset.ahead - first.offset.ahead
	if apart-first.offset.give-last.offset.give > clocksApart {
		return []Finding{warn(fmt.Sprintf("those of %s and %s are %s apart: sessions of some shards end sooner than they should, or later", first.name, last.name, short(apart)),
			remedy("set all machines by NTP"))}
	}
	return []Finding{ok("those of the masters are within %s of each other", short(apart+first.offset.give+last.offset.give))}
}

// checkLatency makes a few round trips.
func checkLatency(ctx context.Context, n *node) []Finding {
	var least, most time.Duration
	for i := range trips {
		sent := time.Now()
		if err := n.client.Ping(ctx).Err(); err != nil && !isReply(err) { // a refusal has made the trip as well
			return []Finding{unseen("how long a round trip takes", err)}
		}
		took := time.Since(sent)
		if i == 0 || took < least {
			least = took
		}
		most = max(most, took)
	}
	if least > slow {
		return []Finding{warn(fmt.Sprintf("a round trip takes %s at best; a verify that needs Redis has 100 ms in all", short(least)),
			remedy("run cloakroom nearer to Redis; SLOWLOG GET and LATENCY DOCTOR tell if Redis is slow"))}
	}
	return []Finding{ok("a round trip takes %s to %s", short(least), short(most))}
}

// checkSessions counts what is stored, and what should have been swept away.
func (e *examination) checkSessions(ctx context.Context) []Finding {
	rdb := e.keysClient()
	pipe := rdb.Pipeline()
	counts := make([]*redis.IntCmd, e.space.Shards())
	for shard := range counts {
		counts[shard] = pipe.ZCard(ctx, e.space.Created(shard))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return []Finding{unseen("how many are stored", err)}
	}
	total := int64(0)
	for _, c := range counts {
		total += c.Val()
	}
	now := session.TimeOf(time.Now())
	for _, n := range e.nodes {
		if n.offset.known {
			now = session.TimeOf(time.Now().Add(n.offset.ahead - n.offset.give))
		}
	}
	due, err := index.New(index.Config{Redis: rdb, Keys: e.space}).Backlog(ctx, now)
	if err != nil {
		return []Finding{unseen("how many are due", err)}
	}
	if due > backlogLate {
		return []Finding{warn(fmt.Sprintf("%d stored, of which %d have ended and are not cleared", total, due),
			remedy("every `cloakroom serve` clears them all the time: is one running with this --redis-key-prefix? If so, its log says why it cannot; if many sessions have just ended together, wait a minute"))}
	}
	if due > 0 {
		return []Finding{ok("%d stored, of which %d have ended and are about to be cleared", total, due)}
	}
	return []Finding{ok("%d stored", total)}
}

// clientsFull is the share of maxclients, in percent, that is worth a warning.
const clientsFull = 80

// checkClients tells which other processes are connected.
func (e *examination) checkClients(ctx context.Context, n *node) []Finding {
	var found []Finding
	if have, most := n.number("connected_clients"), n.number("maxclients"); most > 0 && have*100 > most*clientsFull {
		found = append(found, warn(fmt.Sprintf("%d clients are connected, and maxclients is %d", have, most), setting("maxclients", strconv.FormatInt(2*most, 10))))
	}
	list, err := n.client.ClientList(ctx).Result()
	if err != nil {
		return append(found, unseen("who else is connected", err))
	}
	connections, near, toldAll := 0, 0, 0
	hosts := map[string]bool{}
	for line := range strings.Lines(list) {
		name, addr, flags := "", "", ""
		for _, field := range strings.Fields(line) {
			if v, ok := strings.CutPrefix(field, "name="); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(field, "flags="); ok {
				flags = v
			}
			if v, ok := strings.CutPrefix(field, "addr="); ok {
				addr = v[:max(strings.LastIndexByte(v, ':'), 0)]
			}
		}
		switch name {
		case "cloakroom":
			connections++
			hosts[addr] = true
		case "cloakroom-invalidation":
			near++
			if strings.Contains(flags, "B") { // BCAST
				toldAll++
			}
		}
	}
	if connections+near == 0 {
		return append(found, ok("no other cloakroom is connected"))
	}
	if toldAll >= manyNearCaches {
		return append(found, warn(fmt.Sprintf("%s are told of every change, which costs Redis more than the changes themselves", plural(toldAll, "near cache")),
			remedy("--near-cache-tracking=keys tells each only of what it has read; docs/redis.md has the figures")))
	}
	return append(found, ok("%s of cloakroom from %s, %s", plural(connections, "connection"), plural(max(len(hosts), 1), "host"), plural(near, "near cache")))
}

// manyNearCaches is how many near caches may be told of every change: each costs Redis about
// 10 µs a change, and the change itself about 70 (docs/redis.md).
const manyNearCaches = 20

// plural is a count with a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
