package index

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// driver is where a search takes its candidates from: IDs that were given, or
// a range of one or more sorted sets. Every session that matches is a candidate
// of every driver of its query.
type driver struct {
	kind  Kind         // 0: all that the caller, or anybody, may see
	ids   []session.ID // kind KindIDs
	value string       // kinds KindUser, KindAgent, KindCreator
	lists []string
	dates Dates // of the lists' scores
	cards bool  // the lists hold cards
	// covers says that its candidates that end within expires are exactly the
	// sessions that match, and that their cards tell which these are.
	covers  bool
	expires Dates
	// beside are the other expiration dates of what lives, if there are any. Then
	// leftOut is how many sessions of all end on these, and due how many cards are
	// not swept yet, once counted.
	beside       []Dates
	leftOut, due int64
	count        int64 // candidates, once counted
	// repeats is how many of the lists may hold one session, so that count is
	// up to that many times too high.
	repeats int
}

// mostExcluded returns how many cards of excluded sessions a ranked search reads at most, where most sessions may be
// examined.
func (d *driver) mostExcluded(most int) int {
	if len(d.beside) > 0 {
		return 2 * most // as many that live, and as many that are due
	}
	return most
}

// drivers returns what could drive q, the most promising first.
func (ix *Index) drivers(q *Query, n *narrowed) []*driver {
	var ds []*driver
	// With more than one shard a user's list may hold entries of writes that
	// were cut off, so that its length is no total.
	tight := ix.keys.Shards() == 1
	free := n.told() && q.Sees.All && !n.byIDs
	only := func(own string, others ...string) bool {
		for _, o := range others {
			if o != "" {
				return false
			}
		}
		return free && own != ""
	}
	if n.byIDs {
		ds = append(ds, &driver{kind: KindIDs, ids: n.ids, count: int64(len(n.ids))})
	}
	if n.user != "" {
		ds = append(ds, &driver{kind: KindUser, value: n.user, lists: []string{ix.keys.User(n.user)}, dates: n.creation, covers: tight && only(n.user, n.agent, n.creator)})
	}
	if n.agent != "" {
		ds = append(ds, &driver{kind: KindAgent, value: n.agent, lists: []string{ix.keys.Agent(n.agent)}, dates: n.creation, covers: tight && only(n.agent, n.user, n.creator)})
	}
	if n.creator != "" {
		ds = append(ds, &driver{kind: KindCreator, value: n.creator, lists: ix.creatorLists(n.creator), dates: n.creation, covers: only(n.creator, n.user, n.agent)})
	}
	if n.expires != anyDate {
		ds = append(ds, &driver{kind: KindExpiration, lists: ix.shardLists(ix.keys.Catalogue), dates: n.expires, cards: true})
	}
	switch {
	case q.Sees.ownOnly():
		ds = append(ds, &driver{lists: ix.ownLists(&q.Sees), dates: n.creation, repeats: 3})
	case n.user == "" && n.agent == "" && n.creator == "": // those are ranges of creation dates themselves
		d := &driver{lists: ix.shardLists(ix.keys.Created), dates: n.creation, covers: free}
		if n.creation != anyDate {
			d.kind = KindCreation
		}
		ds = append(ds, d)
	}
	if n.active && coveringOf(ds) == nil {
		// The other lists have what is due and not swept yet, too.
		ds = append(ds, &driver{kind: KindExpiration, lists: ix.shardLists(ix.keys.Catalogue), dates: Dates{n.now + 1, session.Never}, cards: true})
	}
	beside := n.beside()
	for _, d := range ds {
		d.expires, d.beside = n.expires.and(n.live()), beside
	}
	return ds
}

func (ix *Index) shardLists(key func(shard int) string) []string {
	lists := make([]string, ix.keys.Shards())
	for k := range lists {
		lists[k] = key(k)
	}
	return lists
}

func (ix *Index) creatorLists(creator string) []string {
	return ix.shardLists(func(k int) string { return ix.keys.Creator(k, creator) })
}

// ownLists are the lists of the sessions that a caller without session.read sees.
func (ix *Index) ownLists(c *Sees) []string {
	var lists []string
	if c.UserID != "" {
		lists = append(lists, ix.keys.User(c.UserID))
		lists = append(lists, ix.creatorLists(c.UserID)...)
	}
	if c.AgentID != "" {
		lists = append(lists, ix.keys.Agent(c.AgentID))
	}
	return lists
}

// cheapest counts the candidates of each driver, in one round trip, and
// returns the one with the fewest; with them, what a driver that covers leaves out.
func (ix *Index) cheapest(ctx context.Context, ds []*driver, now session.Time) (*driver, error) {
	counts := make([][]*redis.IntCmd, len(ds))
	var cmds []redis.Cmder
	for i, d := range ds {
		for _, key := range d.lists {
			count := redis.NewIntCmd(ctx, "zcount", key, minScore(d.dates), maxScore(d.dates))
			counts[i] = append(counts[i], count)
			cmds = append(cmds, count)
		}
	}
	var leftOut, due []*redis.IntCmd
	covering := coveringOf(ds)
	if covering != nil && len(covering.beside) > 0 {
		for _, key := range ix.shardLists(ix.keys.Catalogue) {
			for _, dates := range covering.beside {
				count := redis.NewIntCmd(ctx, "zcount", key, minScore(dates), maxScore(dates))
				leftOut, cmds = append(leftOut, count), append(cmds, count)
			}
			count := redis.NewIntCmd(ctx, "zcount", key, "-inf", session.Score(now))
			due, cmds = append(due, count), append(cmds, count)
		}
	}
	if err := ix.trips.Do(ctx, cmds...); err != nil {
		return nil, err
	}
	best := ds[0]
	for _, d := range ds {
		d.repeats = max(d.repeats, 1)
	}
	for i, d := range ds {
		for _, c := range counts[i] {
			d.count += c.Val()
		}
		if d.count < best.count {
			best = d
		}
	}
	for _, c := range leftOut {
		covering.leftOut += c.Val()
	}
	for _, c := range due {
		covering.due += c.Val()
	}
	return best, nil
}

// coveringOf returns the driver of ds that covers the search, nil if none does.
func coveringOf(ds []*driver) *driver {
	for _, d := range ds {
		if d.covers {
			return d
		}
	}
	return nil
}

// holds is whether the driver's lists hold the session of this card.
func (d *driver) holds(c *Card) bool {
	if !d.dates.Contains(c.Creation) {
		return false
	}
	switch d.kind {
	case KindUser:
		return c.UserID == d.value
	case KindAgent:
		return c.AgentID == d.value
	case KindCreator:
		return c.Creator == d.value
	}
	return true
}
