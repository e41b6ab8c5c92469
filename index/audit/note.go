package audit

import (
	"context"
	"errors"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

// auditNotes looks at the notes of writes across shards: the sweeper takes each
// at its time, which is a minute after it was made at most.
func (au *audit) auditNotes(ctx context.Context) error {
	if au.Keys.Shards() == 1 {
		return nil
	}
	for shard := range au.Keys.Shards() {
		l := &zlist.List{Redis: au.Costly, Key: au.Keys.Pending(shard), Range: zlist.Everything}
		for {
			e, ok, err := l.Next(ctx)
			if isWrongType(err) {
				au.found(Finding{Drift: KeyForeign, Where: inNote, Err: plainError(err)})
				break
			}
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if err := au.before(ctx, 1); err != nil {
				return err
			}
			au.report.Notes++
			if now := au.Now(); e.At < now.Add(-noteGrace) || e.At > now.Add(noteGrace) {
				if err := au.confirmNote(ctx, shard, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// confirmNote looks whether the note is still there, and repairs it as the
// sweeper does: that may be done at any time, for a write whose note has gone is
// refused.
func (au *audit) confirmNote(ctx context.Context, shard int, e zlist.Entry) error {
	pending := au.Keys.Pending(shard)
	score, err := au.Costly.ZScore(ctx, pending, e.Member).Result()
	if errors.Is(err, redis.Nil) || err == nil && session.TimeOfScore(score) != e.At {
		return nil
	}
	if err != nil {
		return err
	}
	kind, c, err := index.UnpackNote(e.Member)
	f := Finding{Drift: NoteTime, ID: c.ID, Where: inNote}
	if au.Repair {
		switch {
		case err != nil: // it names nothing
			err = au.Redis.ZRem(ctx, pending, e.Member).Err()
		case kind == 'a':
			_, err = au.Index.Condemn(ctx, shard, &c, au.Now())
		default:
			err = au.Index.DropNamed(ctx, shard, c)
		}
		if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
			return err
		}
		f.Outcome, f.Err = Repaired, plainError(err)
		if err != nil {
			f.Outcome = Failed
		}
	}
	au.found(f)
	return nil
}

// readings are the cards by session, those that notes have or those that are due.
// What else a session has somewhere, they do not name.
type readings map[session.ID][]index.Card

// name says whether one of the cards names what was found.
func (r readings) name(au *audit, sp *spot) bool {
	return slices.ContainsFunc(r[sp.id], func(c index.Card) bool { return au.wants(&c, sp) })
}

// wants says whether a session with this card wants what was found.
func (au *audit) wants(c *index.Card, sp *spot) bool {
	return slices.ContainsFunc(au.locations(c, 0), func(p location) bool { return p.key == sp.key && p.member == sp.member })
}

// withoutNotes drops the suspects in other shards that a note names: a write is
// adding or removing them.
func (au *audit) withoutNotes(ctx context.Context, suspects []spot) (rest []spot, err error) {
	return au.without(ctx, suspects, func(sp *spot) bool { return sp.named }, func(ctx context.Context, shard int) (readings, error) {
		return au.readCards(ctx, au.Keys.Pending(shard), zlist.Everything, func(note string) (index.Card, error) {
			_, c, err := index.UnpackNote(note)
			return c, err
		})
	})
}

// withoutDue drops the suspects that a due card names: the sweeper will take it
// with its entries.
func (au *audit) withoutDue(ctx context.Context, suspects []spot) (rest []spot, err error) {
	return au.without(ctx, suspects, func(sp *spot) bool { return !sp.isCard() }, func(ctx context.Context, shard int) (readings, error) {
		return au.readCards(ctx, au.Keys.Catalogue(shard), zlist.Range{Min: zlist.Everything.Min, Max: au.Now().Add(index.ClearAhead)}, index.UnpackCard)
	})
}

// without drops the suspects that what is read in the shard of their session
// names, if they are concerned.
func (au *audit) without(ctx context.Context, suspects []spot, concerned func(*spot) bool, read func(context.Context, int) (readings, error)) (rest []spot, err error) {
	known := make(map[int]readings)
	for _, sp := range suspects {
		if !concerned(&sp) {
			rest = append(rest, sp)
			continue
		}
		shard := au.Keys.ShardOf(sp.id)
		r, ok := known[shard]
		if !ok {
			if r, err = read(ctx, shard); err != nil {
				return nil, err
			}
			known[shard] = r
		}
		switch {
		case r == nil:
			au.report.Unsettled++
		case !r.name(au, &sp):
			rest = append(rest, sp)
		}
	}
	return rest, nil
}

// readCards reads the cards of a list within scores; nil says that there are more
// than MaxCandidates.
func (au *audit) readCards(ctx context.Context, key string, scores zlist.Range, unpack func(string) (index.Card, error)) (readings, error) {
	found := make(readings)
	l := &zlist.List{Redis: au.Costly, Key: key, Range: scores}
	for range au.MaxCandidates {
		e, ok, err := l.Next(ctx)
		if isWrongType(err) || err == nil && !ok {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if c, err := unpack(e.Member); err == nil {
			found[c.ID] = append(found[c.ID], c)
		}
	}
	return nil, nil
}
