package audit

import (
	"context"
	"errors"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// strays says whether the session as it stands has no such entry or card, and
// why; "" if it has, or if it cannot be told.
func (au *audit) strays(sp *spot, k *Kept) Drift {
	orphan, stray := EntryOrphan, EntryStray
	if sp.isCard() {
		orphan, stray = CardOrphan, CardStray
	}
	switch {
	case k.Unreadable != nil:
		return ""
	case k.Stored == nil:
		return orphan
	}
	if c := index.CardOf(k.Stored); au.wants(&c, sp) {
		return ""
	}
	return stray
}

// checkSpots looks whether the sessions that have these entries or cards want
// them.
func (au *audit) checkSpots(ctx context.Context, spots []spot) error {
	if err := au.before(ctx, len(spots)); err != nil {
		return err
	}
	if spots[0].isCard() {
		au.report.Cards += uint64(len(spots))
	} else {
		au.report.Entries += uint64(len(spots))
	}
	kept, err := au.readSpots(ctx, spots)
	if err != nil {
		return err
	}
	var suspects []spot
	for i := range spots {
		if au.strays(&spots[i], &kept[i]) != "" {
			suspects = append(suspects, spots[i])
		}
	}
	for part := range slices.Chunk(suspects, suspectsAtOnce) {
		if err := au.confirmSpots(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (au *audit) readSpots(ctx context.Context, spots []spot) ([]Kept, error) {
	ids := make([]session.ID, len(spots))
	for i := range spots {
		ids[i] = spots[i].id
	}
	return au.read(ctx, ids)
}

// confirmSpots drops the suspects that somebody may need, or that are being
// cleared, and reports and repairs the others. The order is what counts:
//
//   - First it is read whose cards are due: the sweeper takes those away.
//   - An entry in another shard was found; then the notes are read, and then the
//     session. A write notes first, adds its entries, and loses its note when it
//     is stored or condemned. So an entry that was there, without a note after
//     that, and after that without a stored version that has its tag, is dead for
//     ever: no version will have the tag again. The notes are read once more
//     before the entry is: while somebody removes it, one is there.
//   - An entry in the session's own shard is looked at once more between two looks
//     at the session. If that is the same version both times, the entry is not
//     its own, for the two change in one script.
func (au *audit) confirmSpots(ctx context.Context, suspects []spot) error {
	for _, step := range []func(context.Context, []spot) ([]spot, error){
		au.withoutDue, au.withoutNotes,
		func(ctx context.Context, suspects []spot) (strays []spot, err error) {
			kept, err := au.readSpots(ctx, suspects)
			if err != nil {
				return nil, err
			}
			for i, sp := range suspects {
				sp.version, sp.drift = kept[i].version(), au.strays(&sp, &kept[i])
				if sp.drift != "" {
					strays = append(strays, sp)
				}
			}
			return strays, nil
		},
		au.withoutNotes, au.withoutGone,
	} {
		var err error
		if suspects, err = step(ctx, suspects); err != nil || len(suspects) == 0 {
			return err
		}
	}
	results := make([]result, len(suspects))
	if au.Repair {
		var err error
		if results, err = au.removeSpots(ctx, suspects); err != nil {
			return err
		}
	}
	for i := range suspects {
		sp := &suspects[i]
		au.found(Finding{sp.drift, sp.id, sp.where, results[i].outcome, results[i].err})
	}
	return nil
}

// withoutGone drops the suspects that are not there any more, those whose
// session has changed since it was read, and cards that have come due.
func (au *audit) withoutGone(ctx context.Context, suspects []spot) (rest []spot, err error) {
	pipe := au.Costly.Pipeline()
	scores := make([]*redis.FloatCmd, len(suspects))
	for i, sp := range suspects {
		scores[i] = pipe.ZScore(ctx, sp.key, sp.member)
	}
	if err := send(ctx, pipe); err != nil {
		return nil, err
	}
	pipe = au.Costly.Pipeline()
	again := make([]*redis.StringCmd, len(suspects))
	for i, sp := range suspects {
		again[i] = pipe.HGet(ctx, au.Keys.Session(sp.id), "v")
	}
	if err := send(ctx, pipe); err != nil {
		return nil, err
	}
	live := au.Now().Add(index.ClearAhead)
	for i, sp := range suspects {
		score, err := scores[i].Result()
		if errors.Is(err, redis.Nil) || isWrongType(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		v, err := again[i].Result()
		if err != nil && !errors.Is(err, redis.Nil) && !isWrongType(err) {
			return nil, err
		}
		if v != sp.version && !sp.named || sp.isCard() && session.TimeOfScore(score) <= live {
			continue
		}
		rest = append(rest, sp)
	}
	return rest, nil
}

// removeSpots removes confirmed suspects. What is in the session's own shard is
// removed by a script that compares the version; the card of a session that is
// not stored takes the entries that it names with it. What is in another shard
// is nobody's, now and ever.
func (au *audit) removeSpots(ctx context.Context, spots []spot) ([]result, error) {
	var fixes []fix
	var fixed []int // positions in spots
	results := make([]result, len(spots))
	pipe := au.Redis.Pipeline()
	removed := make([]*redis.IntCmd, len(spots))
	for i := range spots {
		switch sp := &spots[i]; {
		case sp.named || sp.shard != au.Keys.ShardOf(sp.id):
			removed[i] = pipe.ZRem(ctx, sp.key, sp.member)
		case sp.drift == CardOrphan:
			n, err := au.Index.RemoveCards(ctx, sp.shard, au.Now(), []string{sp.member})
			if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
				return nil, err
			}
			results[i] = resultOf(n, err)
		default:
			fixes = append(fixes, fix{sp.id, sp.version, "-", []location{{key: sp.key, member: sp.member}}})
			fixed = append(fixed, i)
		}
	}
	if pipe.Len() > 0 {
		if err := send(ctx, pipe); err != nil {
			return nil, err
		}
	}
	for i, reply := range removed {
		if reply != nil {
			results[i] = resultOf(reply.Result())
		}
	}
	done, err := au.runFixes(ctx, fixes)
	for j, r := range done {
		results[fixed[j]] = r
	}
	return results, err
}
