package index

import (
	"context"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

// ClearAhead is how far beyond now Clear looks for cards: Redis may have dropped
// the hash of a session that ends by another clock a moment later.
const ClearAhead = time.Second

// Clear does at once for some sessions what the sweeper would do for all: it
// removes what is left of those that have ended, and in their shards it ends the
// writes that were cut off a minute ago and finishes removals. It returns how
// much it cleared. What is neither ended nor past its time stays.
func (ix *Index) Clear(ctx context.Context, ids []session.ID, now session.Time) (cleared int, err error) {
	shards := make(map[int]map[session.ID]bool)
	for _, id := range ids {
		shard := ix.keys.ShardOf(id)
		if shards[shard] == nil {
			shards[shard] = make(map[session.ID]bool)
		}
		shards[shard][id] = true
	}
	for shard, wanted := range shards {
		n, err := ix.clearEnded(ctx, shard, wanted, now)
		cleared += n
		if err != nil {
			return cleared, err
		}
		for more := true; more; {
			if n, more, err = ix.sweepNotes(ctx, shard, now); err != nil {
				return cleared, err
			}
			cleared += n
		}
	}
	return cleared, nil
}

// clearEnded removes the sessions of a shard that are wanted and have ended. It
// gives up after MaxCandidates cards: then it is not known which have.
func (ix *Index) clearEnded(ctx context.Context, shard int, wanted map[session.ID]bool, now session.Time) (cleared int, err error) {
	l := &zlist.List{Redis: ix.rdb, Key: ix.keys.Catalogue(shard), Range: zlist.Range{Min: anyDate.Min, Max: now.Add(ClearAhead)}}
	var found []string
	ended := false
	for range ix.maxCandidates {
		e, ok, err := l.Next(ctx)
		if err != nil {
			return 0, err
		}
		if ended = !ok; ended {
			break
		}
		if c, err := UnpackCard(e.Member); err == nil && wanted[c.ID] {
			found = append(found, e.Member)
			delete(wanted, c.ID)
		}
		if ended = len(wanted) == 0; ended {
			break
		}
	}
	for len(found) > 0 {
		n := min(len(found), sweepBatch)
		removed, err := ix.RemoveCards(ctx, shard, now, found[:n])
		cleared += removed
		if err != nil {
			return cleared, err
		}
		found = found[n:]
	}
	if !ended && cleared == 0 {
		return 0, fmt.Errorf("%w: entries of sessions that have ended are not cleared yet, try again", session.ErrUnavailable)
	}
	return cleared, nil
}
