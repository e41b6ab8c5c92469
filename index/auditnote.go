package index

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// unpackNote reads what AddNote and DropNote write.
func unpackNote(note string) (kind byte, c Card, err error) {
	if note == "" {
		return 0, c, errBadCard
	}
	c, err = UnpackCard(note[1:])
	return note[0], c, err
}

// auditNotes looks at the notes of writes across shards: the sweeper takes each
// at its time, which is a minute after it was made at most.
func (au *audit) auditNotes(ctx context.Context) error {
	if au.keys.Shards() == 1 {
		return nil
	}
	for shard := range au.keys.Shards() {
		l := &list{rdb: au.rdb, key: au.keys.Pending(shard), dates: anyDate}
		for {
			e, ok, err := l.next(ctx)
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
			if now := au.now(); e.at < now.Add(-noteGrace) || e.at > now.Add(noteGrace) {
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
func (au *audit) confirmNote(ctx context.Context, shard int, e entry) error {
	pending := au.keys.Pending(shard)
	score, err := au.rdb.ZScore(ctx, pending, e.member).Result()
	if errors.Is(err, redis.Nil) || err == nil && timeOfScore(score) != e.at {
		return nil
	}
	if err != nil {
		return err
	}
	kind, c, err := unpackNote(e.member)
	f := Finding{Drift: NoteTime, ID: c.ID, Where: inNote}
	if au.Repair {
		switch {
		case err != nil: // it names nothing
			err = au.ix.rdb.ZRem(ctx, pending, e.member).Err()
		case kind == 'a':
			err = au.ix.Condemn(ctx, shard, &c, au.now())
		default:
			err = au.ix.DropNamed(ctx, shard, c)
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

// tagged is an entry in other shards.
type tagged struct {
	id  session.ID
	tag string
}

// withoutNotes drops the suspects in other shards that a note names: a write is
// adding or removing them.
func (au *audit) withoutNotes(ctx context.Context, suspects []spot) (rest []spot, err error) {
	notes := make(map[int]map[tagged]bool)
	for _, sp := range suspects {
		if !sp.named {
			rest = append(rest, sp)
			continue
		}
		shard := au.keys.ShardOf(sp.id)
		if notes[shard] == nil {
			if notes[shard], err = au.readNotes(ctx, shard); err != nil {
				return nil, err
			}
		}
		tag := ""
		if len(sp.member) > len(sp.id) {
			tag = sp.member[len(sp.id)+1:]
		}
		switch {
		case len(notes[shard]) > au.ix.maxCandidates:
			au.report.Unsettled++
		case !notes[shard][tagged{sp.id, tag}]:
			rest = append(rest, sp)
		}
	}
	return rest, nil
}

// readNotes reads the notes of a shard, at most one more than MaxCandidates.
func (au *audit) readNotes(ctx context.Context, shard int) (map[tagged]bool, error) {
	notes := make(map[tagged]bool)
	l := &list{rdb: au.rdb, key: au.keys.Pending(shard), dates: anyDate}
	for len(notes) <= au.ix.maxCandidates {
		e, ok, err := l.next(ctx)
		if isWrongType(err) || err == nil && !ok {
			break
		}
		if err != nil {
			return nil, err
		}
		if _, c, err := unpackNote(e.member); err == nil {
			notes[tagged{c.ID, c.Tag}] = true
		}
	}
	return notes, nil
}

// withoutDue drops the suspects whose session has a due card: the sweeper will
// take it with its entries.
func (au *audit) withoutDue(ctx context.Context, suspects []spot) (rest []spot, err error) {
	due := make(map[int]map[session.ID]bool)
	for _, sp := range suspects {
		shard := au.keys.ShardOf(sp.id)
		if due[shard] == nil {
			if due[shard], err = au.readDue(ctx, shard); err != nil {
				return nil, err
			}
		}
		switch {
		case sp.where == listName(keys.KindCatalogue):
			rest = append(rest, sp) // it is not due itself
		case len(due[shard]) > au.ix.maxCandidates:
			au.report.Unsettled++
		case !due[shard][sp.id]:
			rest = append(rest, sp)
		}
	}
	return rest, nil
}

// readDue reads whose cards of a shard are due, at most one more than
// MaxCandidates.
func (au *audit) readDue(ctx context.Context, shard int) (map[session.ID]bool, error) {
	due := make(map[session.ID]bool)
	l := &list{rdb: au.rdb, key: au.keys.Catalogue(shard), dates: Dates{anyDate.Min, au.now().Add(clearAhead)}}
	for len(due) <= au.ix.maxCandidates {
		e, ok, err := l.next(ctx)
		if isWrongType(err) || err == nil && !ok {
			break
		}
		if err != nil {
			return nil, err
		}
		if c, err := UnpackCard(e.member); err == nil {
			due[c.ID] = true
		}
	}
	return due, nil
}
