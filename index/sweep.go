package index

import (
	"context"
	_ "embed"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/sweep.lua
var sweepLua string

//go:embed lua/condemn.lua
var condemnLua string

var (
	sweepScript   = redis.NewScript(sweepLua)
	condemnScript = redis.NewScript(condemnLua)
)

// sweepBatch is how many cards one sweep takes of a shard at a time.
const sweepBatch = 50

// Load loads the scripts, so that the first sweep finds them.
func (ix *Index) Load(ctx context.Context) error {
	return errors.Join(sweepScript.Load(ctx, ix.rdb).Err(), condemnScript.Load(ctx, ix.rdb).Err())
}

// Sweep removes, in every shard, up to 50 sessions that are due at now with
// their entries, and ends up to 50 writes that were cut off. It returns how
// many it removed or ended, and whether more are waiting. Any number of
// processes may sweep at the same time.
func (ix *Index) Sweep(ctx context.Context, now session.Time) (swept int, more bool, err error) {
	for shard := range ix.keys.Shards() {
		n, full, err := ix.sweepDue(ctx, shard, now)
		swept += n
		if err != nil {
			return swept, false, err
		}
		m, fullNotes, err := ix.sweepNotes(ctx, shard, now)
		swept += m
		if err != nil {
			return swept, false, err
		}
		more = more || full || fullNotes
	}
	return swept, more, nil
}

// Backlog counts the sessions that are due at now and not swept away yet.
func (ix *Index) Backlog(ctx context.Context, now session.Time) (int64, error) {
	pipe := ix.rdb.Pipeline()
	counts := make([]*redis.IntCmd, ix.keys.Shards())
	for shard := range counts {
		counts[shard] = pipe.ZCount(ctx, ix.keys.Catalogue(shard), "-inf", Score(now))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, err
	}
	total := int64(0)
	for _, c := range counts {
		total += c.Val()
	}
	return total, nil
}

func (ix *Index) sweepDue(ctx context.Context, shard int, now session.Time) (swept int, full bool, err error) {
	cards, err := ix.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{Key: ix.keys.Catalogue(shard), Start: "-inf", Stop: Score(now), ByScore: true, Count: sweepBatch}).Result()
	if err != nil || len(cards) == 0 {
		return 0, false, err
	}
	swept, err = ix.removeCards(ctx, shard, now, cards)
	return swept, len(cards) == sweepBatch && swept > 0, err
}

// removeCards runs the sweep script for each card, in one round trip, and then
// removes what the cards name in other shards.
func (ix *Index) removeCards(ctx context.Context, shard int, now session.Time, packed []string) (removed int, err error) {
	cards := make([]Card, len(packed))
	for i := range packed {
		if cards[i], err = UnpackCard(packed[i]); err != nil {
			return 0, err
		}
	}
	results, err := ix.runSweeps(ctx, shard, now, cards, packed)
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // Redis was restarted, or its scripts were flushed
		if err = ix.Load(ctx); err == nil {
			results, err = ix.runSweeps(ctx, shard, now, cards, packed)
		}
	}
	if err != nil {
		return 0, err
	}
	for i, r := range results {
		if n, _ := r.Int(); n == 0 {
			continue
		}
		removed++
		if err := ix.DropNamed(ctx, shard, &cards[i]); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (ix *Index) runSweeps(ctx context.Context, shard int, now session.Time, cards []Card, packed []string) ([]*redis.Cmd, error) {
	results := make([]*redis.Cmd, len(cards))
	pipe := ix.rdb.Pipeline()
	for i := range cards {
		c := &cards[i]
		keys := []string{ix.keys.Session(c.ID), ix.keys.Created(shard), ix.keys.Catalogue(shard), ix.keys.Pending(shard)}
		if list := c.CreatorList(ix.keys); list != "" {
			keys = append(keys, list)
		}
		note := ""
		if named := c.NamedLists(ix.keys); c.Tag == "" {
			keys = append(keys, named...)
		} else if len(named) > 0 {
			note = DropNote(c)
		}
		results[i] = pipe.EvalSha(ctx, sweepScript.Hash(), keys, Score(now), string(c.ID), packed[i], note)
	}
	_, err := pipe.Exec(ctx)
	return results, err
}

// A note says that a write touches other shards. It is a letter and a card:
// 'a' entries are being added, 'd' entries are to be removed. With one shard
// there are none.

// AddNote notes a write that is about to add the named entries of c.
func AddNote(c *Card) string { return "a" + c.Pack() }

// DropNote notes that the named entries of c are to be removed.
func DropNote(c *Card) string { return "d" + c.Pack() }

// DropNamed removes the named entries of c from other shards, and then the
// note that asks for it. The session with this card must be gone for good, or
// have been replaced by a version with another tag; its tag makes sure that no
// other version's entries are touched. (I5)
func (ix *Index) DropNamed(ctx context.Context, shard int, c *Card) error {
	lists := c.NamedLists(ix.keys)
	if c.Tag == "" || len(lists) == 0 {
		return nil
	}
	pipe := ix.rdb.Pipeline()
	for _, list := range lists {
		pipe.ZRem(ctx, list, c.Member())
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	return ix.rdb.ZRem(ctx, ix.keys.Pending(shard), DropNote(c)).Err()
}

// Condemn ends a write that has noted that it adds the named entries of c, and
// removes these. It does nothing, and says so, if the note is gone: then the
// write has been done, and a stored session may need its entries. (I5)
func (ix *Index) Condemn(ctx context.Context, shard int, c *Card, now session.Time) (bool, error) {
	n, err := condemnScript.Run(ctx, ix.rdb, []string{ix.keys.Pending(shard)}, Score(now), AddNote(c), DropNote(c)).Int()
	if err != nil || n == 0 {
		return false, err
	}
	return true, ix.DropNamed(ctx, shard, c)
}

// sweepNotes ends the writes of a shard that are past their time.
func (ix *Index) sweepNotes(ctx context.Context, shard int, now session.Time) (ended int, full bool, err error) {
	if ix.keys.Shards() == 1 {
		return 0, false, nil
	}
	pending := ix.keys.Pending(shard)
	notes, err := ix.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{Key: pending, Start: "-inf", Stop: Score(now), ByScore: true, Count: sweepBatch}).Result()
	if err != nil {
		return 0, false, err
	}
	for _, note := range notes {
		c, err := UnpackCard(note[1:])
		if err != nil {
			return ended, false, err
		}
		condemned := true
		if note[0] == 'a' {
			condemned, err = ix.Condemn(ctx, shard, &c, now)
		} else {
			err = ix.DropNamed(ctx, shard, &c)
		}
		if err != nil {
			return ended, false, err
		}
		if condemned {
			ended++
		}
	}
	return ended, len(notes) == sweepBatch, nil
}

// Forget removes what is left of a session whose hash Redis has dropped: its
// card and entries. It looks through the shard's catalogue from the earliest
// expiration on, where the card of a session that ended a moment ago is.
func (ix *Index) Forget(ctx context.Context, id session.ID, now session.Time) error {
	shard := ix.keys.ShardOf(id)
	l := &list{rdb: ix.rdb, key: ix.keys.Catalogue(shard), dates: anyDate}
	for {
		e, ok, err := l.next(ctx)
		if err != nil || !ok {
			return err
		}
		c, err := UnpackCard(e.member)
		if err != nil {
			return err
		}
		if c.ID == id {
			_, err := ix.removeCards(ctx, shard, now, []string{e.member})
			return err
		}
	}
}
