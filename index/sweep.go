package index

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
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

// Scripts returns the scripts that sweeping runs, to be loaded on a server before the first sweep.
func Scripts() []string { return []string{sweepLua, condemnLua} }

// Sweep removes, in every shard, up to 50 sessions that are due at now with
// their entries, and ends up to 50 writes that were cut off. It returns how
// many it removed or ended, and whether more are waiting. What it cannot
// clear it reports, and goes on with the rest. Any number of processes may
// sweep at the same time.
func (ix *Index) Sweep(ctx context.Context, now session.Time) (swept int, more bool, err error) {
	type result struct {
		swept int
		more  bool
		err   error
	}
	results := make([]result, ix.keys.Shards())
	var group errgroup.Group // all at once: shards whose master is away must not hold up the others
	for shard := range results {
		group.Go(func() error {
			n, full, err := ix.sweepDue(ctx, shard, now)
			if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
				results[shard] = result{err: err}
				return nil
			}
			m, fullNotes, errNotes := ix.sweepNotes(ctx, shard, now)
			results[shard] = result{n + m, (full && n > 0) || (fullNotes && m > 0), errors.Join(err, errNotes)}
			return nil
		})
	}
	_ = group.Wait() // results have the errors
	for _, r := range results {
		swept += r.swept
		more = more || r.more
		err = errors.Join(err, r.err)
	}
	return swept, more, err
}

// Backlog counts the sessions that are due at now and not swept away yet.
func (ix *Index) Backlog(ctx context.Context, now session.Time) (int64, error) {
	pipe := ix.rdb.Pipeline()
	counts := make([]*redis.IntCmd, ix.keys.Shards())
	for shard := range counts {
		counts[shard] = pipe.ZCount(ctx, ix.keys.Catalogue(shard), "-inf", session.Score(now))
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
	cards, err := ix.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{Key: ix.keys.Catalogue(shard), Start: "-inf", Stop: session.Score(now), ByScore: true, Count: sweepBatch}).Result()
	if err != nil || len(cards) == 0 {
		return 0, false, err
	}
	swept, err = ix.RemoveCards(ctx, shard, now, cards)
	return swept, len(cards) == sweepBatch, err
}

// RemoveCards removes the sessions of a shard that have these cards, packed, with
// all that the cards name, if they are due at now or Redis has dropped them. It
// runs the sweep script for each, in one round trip, and then removes what they
// name in other shards. A card that cannot be read is removed alone: it names
// nothing.
func (ix *Index) RemoveCards(ctx context.Context, shard int, now session.Time, packed []string) (removed int, err error) {
	cards := make([]Card, 0, len(packed))
	members := make([]string, 0, len(packed))
	var bad []any
	for _, p := range packed {
		c, err := UnpackCard(p)
		if err != nil {
			bad = append(bad, p)
			continue
		}
		cards, members = append(cards, c), append(members, p)
	}
	if len(bad) > 0 {
		if err := ix.rdb.ZRem(ctx, ix.keys.Catalogue(shard), bad...).Err(); err != nil {
			return 0, err
		}
		removed = len(bad)
	}
	results, err := ix.runSweeps(ctx, shard, now, cards, members, redis.Pipeliner.EvalSha, sweepScript.Hash())
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // the server is new, or its scripts were flushed
		results, err = ix.runSweeps(ctx, shard, now, cards, members, redis.Pipeliner.Eval, sweepLua)
	}
	var gone []Card
	for i, r := range results {
		if n, rerr := r.Int(); rerr == nil && n == 1 {
			removed++
			gone = append(gone, cards[i])
		}
	}
	return removed, errors.Join(err, ix.DropNamed(ctx, shard, gone...))
}

// runSweeps runs the sweep script for each card: eval is EvalSha with its hash, or Eval with its text.
func (ix *Index) runSweeps(ctx context.Context, shard int, now session.Time, cards []Card, packed []string,
	eval func(redis.Pipeliner, context.Context, string, []string, ...any) *redis.Cmd, script string,
) ([]*redis.Cmd, error) {
	if len(cards) == 0 {
		return nil, nil
	}
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
		results[i] = eval(pipe, ctx, script, keys, session.Score(now), string(c.ID), packed[i], note)
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

// UnpackNote reads what AddNote and DropNote write; kind is the letter.
func UnpackNote(note string) (kind byte, c Card, err error) {
	if note == "" {
		return 0, c, errBadCard
	}
	c, err = UnpackCard(note[1:])
	return note[0], c, err
}

// DropNamed removes the named entries of cards from other shards, and then the
// notes that ask for it. The session with such a card must be gone for good, or
// have been replaced by a version with another tag; the tag makes sure that no
// other version's entries are touched. (I5)
func (ix *Index) DropNamed(ctx context.Context, shard int, cards ...Card) error {
	pipe := ix.rdb.Pipeline()
	notes := make([]any, 0, len(cards))
	for i := range cards {
		c := &cards[i]
		if c.Tag == "" {
			continue
		}
		for _, list := range c.NamedLists(ix.keys) {
			pipe.ZRem(ctx, list, c.Member())
		}
		notes = append(notes, DropNote(c))
	}
	if len(notes) == 0 {
		return nil
	}
	if pipe.Len() > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return ix.rdb.ZRem(ctx, ix.keys.Pending(shard), notes...).Err()
}

// Condemn ends a write that has noted that it adds the named entries of c, and
// removes these, unless a stored version has their tag: then the write was done,
// whether its note was removed or came late. A tag that no stored version has is
// dead for ever: a put keeps a tag only on top of a version that has it, and the
// write's own script does not run without its note. (I5) It says whether the
// entries stay.
func (ix *Index) Condemn(ctx context.Context, shard int, c *Card, now session.Time) (stay bool, err error) {
	n, err := condemnScript.Run(ctx, ix.rdb, []string{ix.keys.Pending(shard), ix.keys.Session(c.ID)}, session.Score(now), AddNote(c), DropNote(c), c.Tag).Int()
	if err != nil || n == 0 {
		return err == nil, err
	}
	return false, ix.DropNamed(ctx, shard, *c)
}

// sweepNotes ends the writes of a shard that are past their time.
func (ix *Index) sweepNotes(ctx context.Context, shard int, now session.Time) (ended int, full bool, err error) {
	if ix.keys.Shards() == 1 {
		return 0, false, nil
	}
	pending := ix.keys.Pending(shard)
	notes, err := ix.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{Key: pending, Start: "-inf", Stop: session.Score(now), ByScore: true, Count: sweepBatch}).Result()
	if err != nil {
		return 0, false, err
	}
	var dropped []Card
	for _, note := range notes {
		kind, c, err := UnpackNote(note)
		switch {
		case err != nil: // it names nothing
			if err := ix.rdb.ZRem(ctx, pending, note).Err(); err != nil {
				return ended, false, err
			}
			ended++
		case kind == 'a':
			if _, err := ix.Condemn(ctx, shard, &c, now); err != nil {
				return ended, false, err
			}
			ended++
		default:
			dropped = append(dropped, c)
		}
	}
	if err := ix.DropNamed(ctx, shard, dropped...); err != nil {
		return ended, false, err
	}
	return ended + len(dropped), len(notes) == sweepBatch, nil
}

// Forget removes what is left of a session whose hash Redis has dropped: its
// card and entries. It looks through the shard's catalogue from the earliest
// expiration on, where the card of a session that ended a moment ago is, and
// gives up after MaxCandidates cards.
func (ix *Index) Forget(ctx context.Context, id session.ID, now session.Time) error {
	shard := ix.keys.ShardOf(id)
	l := &zlist.List{Redis: ix.rdb, Key: ix.keys.Catalogue(shard), Range: zlist.Everything}
	for range ix.maxCandidates {
		e, ok, err := l.Next(ctx)
		if err != nil || !ok {
			return err
		}
		if c, err := UnpackCard(e.Member); err == nil && c.ID == id {
			_, err := ix.RemoveCards(ctx, shard, now, []string{e.Member})
			return err
		}
	}
	return fmt.Errorf("%w: entries of a lost session with this ID are not cleared yet, try again", session.ErrUnavailable)
}
