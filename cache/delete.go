package cache

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/deletions"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/delete.lua
var deleteLua string

var deleteScript = redis.NewScript(deleteLua)

// reasonReturned is the reason in the tombstone of one that was deleted again.
const reasonReturned = "returned"

// Deleted says what a delete left behind.
type Deleted struct {
	// Sequence is one above that of the deleted version.
	Sequence   uint64
	ChangeDate session.Time
	Acknowledged
}

// Delete deletes old, the version that the caller read with GetFresh, and leaves a tombstone
// with the sequence of the deletion and the reason, a short word. It answers
// session.ErrConflict if another version is stored, session.ErrNotFound if
// there is none. It goes through on a Redis that is out of memory. After
// session.ErrUnavailable it may or may not have happened.
//
// It waits for Config.RevokeWaitReplicas, and says how many have it then.
// However many these are, it has happened, and this process remembers it.
//
// Where JWTs may name the session (SetEndsFor), it leaves an end, too.
//
// An old without a Version says that nothing is stored: then only the
// tombstone is left, with the sequence above old.Sequence.
func (s *Store) Delete(ctx context.Context, old *session.Stored, reason string) (Deleted, error) {
	return s.delete(ctx, old, reason, old.Sequence+1, true)
}

// delete is Delete with the sequence of the deletion. wait says whether it waits
// for replicas. Without a reason it leaves neither a tombstone nor an end, and nothing is remembered.
func (s *Store) delete(ctx context.Context, old *session.Stored, reason string, sequence uint64, wait bool) (Deleted, error) {
	if old.Due(s.clock()) {
		return Deleted{}, session.ErrNotFound
	}
	return s.remove(ctx, old, reason, sequence, wait)
}

// remove is delete for a session that may be due.
func (s *Store) remove(ctx context.Context, old *session.Stored, reason string, sequence uint64, wait bool) (Deleted, error) {
	deleted := Deleted{Sequence: sequence, ChangeDate: s.clock()}
	r := s.newRemoval(old, deleted.ChangeDate)
	s.near.Forget(r.card)
	defer s.near.Forget(r.card) // I4: also if it is not known whether it happened
	if reason != "" {
		r.leave(deletions.NewTombstone(sequence, reason, deleted.ChangeDate), deletions.TombstoneFor)
	}
	end, ends := s.endOf(old.ID)
	if ends = ends && reason != ""; ends {
		name := session.EndOfSession(old.ID)
		s.near.ForgetEnd(name)
		defer s.near.ForgetEnd(name) // I4
		r.leaveEnd(s.keys.End(name), end)
	}
	var result string
	var err error
	if wait && s.acks != nil {
		result, deleted.Acknowledged, err = s.acks.run(ctx, deleteScript, deleteLua, r.keys, r.args)
	} else {
		result, _, err = s.runScript(ctx, deleteScript, r.keys, r.args)
	}
	if err != nil {
		return Deleted{}, err
	}
	switch result {
	case "ok", "done":
		if reason != "" {
			s.remembered.Add(old.ID, sequence, deleted.ChangeDate, s.clock())
		}
		if ends {
			s.ends.Add(session.EndOfSession(old.ID), end, s.clock())
		}
		s.dropNamed(ctx, r)
		return deleted, nil
	case "conflict":
		// GetFresh tells a later version from one that has ended, too.
		if _, err := s.GetFresh(ctx, old.ID); err != nil {
			return Deleted{}, err
		}
		return Deleted{}, session.ErrConflict
	case "gone":
		return Deleted{}, session.ErrNotFound
	}
	return Deleted{}, fmt.Errorf("BUG: delete.lua answered %q", result)
}

// removal is one run of delete.lua, worked out.
type removal struct {
	shard int
	card  index.Card
	note  string // of entries to remove in other shards, "" if there are none
	keys  []string
	args  []any
}

// Where delete.lua's arguments stand.
const (
	deleteTombstone, deleteTTL = 3, 4
	deleteEnd, deleteEndUntil  = 7, 8
)

// newRemoval works out what delete.lua has to do to remove old. It leaves no tombstone and no end.
func (s *Store) newRemoval(old *session.Stored, now session.Time) *removal {
	r := &removal{shard: s.keys.ShardOf(old.ID), card: index.CardOf(old)}
	r.keys = []string{s.keys.Session(old.ID), s.keys.Tombstone(old.ID), s.keys.Created(r.shard), s.keys.Catalogue(r.shard), s.keys.Pending(r.shard)}
	if list := r.card.CreatorList(s.keys); list != "" {
		r.keys = append(r.keys, list)
	}
	if s.keys.Shards() == 1 {
		r.keys = append(r.keys, r.card.NamedLists(s.keys)...)
	} else if len(r.card.NamedLists(s.keys)) > 0 {
		r.note = index.DropNote(&r.card)
	}
	r.args = []any{old.Version, string(old.ID), r.card.Pack(), "", 0, session.Score(now), r.note, "", 0}
	return r
}

// leave has a tombstone left.
func (r *removal) leave(tombstone string, ttl time.Duration) {
	r.args[deleteTombstone], r.args[deleteTTL] = tombstone, max(ttl.Milliseconds(), 1)
}

// leaveEnd has an end left, under its key.
func (r *removal) leaveEnd(key string, e session.End) {
	r.keys = append(r.keys, key)
	r.args[deleteEnd], r.args[deleteEndUntil] = e.String(), endMillis(e)
}

// dropNamed removes the entries in other shards of a session that was removed. They
// are noted: what fails now is done by the sweeper.
func (s *Store) dropNamed(ctx context.Context, r *removal) {
	if r.note != "" {
		_ = s.index.DropNamed(ctx, r.shard, r.card)
	}
}

// ApplyDeletion does a deletion that another store has done: it deletes old, the version that the caller
// read, which may be due, and leaves the tombstone of that store until then, none if that is "". An old without a
// Version says that nothing is stored. It answers session.ErrConflict if something else is stored.
// It leaves no end: ends of another store come by themselves (End).
func (s *Store) ApplyDeletion(ctx context.Context, old *session.Stored, tombstone string, until session.Time) error {
	now := s.clock()
	r := s.newRemoval(old, now)
	s.near.Forget(r.card)
	defer s.near.Forget(r.card) // I4
	r.leave(tombstone, until.Sub(now))
	result, _, err := s.runScript(ctx, deleteScript, r.keys, r.args)
	switch {
	case err != nil:
		return err
	case result == "ok", result == "done":
		s.remembered.AddTombstone(old.ID, tombstone, now)
		s.dropNamed(ctx, r)
		return nil
	case result == "conflict", result == "gone":
		return session.ErrConflict
	}
	return fmt.Errorf("BUG: delete.lua answered %q", result)
}

// redeletion says how to delete again what was deleted and has come back.
func (s *Store) redeletion() deletions.Config {
	return deletions.Config{
		Redis: s.rdb, Keys: s.keys, Clock: s.clock, Read: s.readFresh, Logger: s.log, Ends: s.ends,
		WriteEnd: func(ctx context.Context, name session.EndName, e session.End) error {
			_, err := s.writeEnd(ctx, name, e, false)
			return err
		},
		Delete: func(ctx context.Context, back *session.Stored, sequence uint64) error {
			_, err := s.delete(ctx, back, reasonReturned, sequence, false)
			if err == nil {
				s.redeleted.Add(1)
			}
			return err
		},
	}
}
