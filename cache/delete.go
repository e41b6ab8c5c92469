package cache

import (
	"context"
	_ "embed"
	"fmt"

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
	card := index.CardOf(old)
	s.near.Forget(card)
	defer s.near.Forget(card) // I4: also if it is not known whether it happened
	shard := s.keys.ShardOf(old.ID)
	scriptKeys := []string{s.keys.Session(old.ID), s.keys.Tombstone(old.ID), s.keys.Created(shard), s.keys.Catalogue(shard), s.keys.Pending(shard)}
	if list := card.CreatorList(s.keys); list != "" {
		scriptKeys = append(scriptKeys, list)
	}
	note := ""
	if s.keys.Shards() == 1 {
		scriptKeys = append(scriptKeys, card.NamedLists(s.keys)...)
	} else if len(card.NamedLists(s.keys)) > 0 {
		note = index.DropNote(&card)
	}
	deleted := Deleted{Sequence: sequence, ChangeDate: s.clock()}
	tombstone := ""
	if reason != "" {
		tombstone = deletions.NewTombstone(sequence, reason, deleted.ChangeDate)
	}
	args := []any{
		old.Version, string(old.ID), card.Pack(), tombstone, deletions.TombstoneFor.Milliseconds(),
		session.Score(deleted.ChangeDate), note, "", 0,
	}
	end, ends := s.endOf(old.ID)
	if ends = ends && reason != ""; ends {
		name := session.EndOfSession(old.ID)
		s.near.ForgetEnd(name)
		defer s.near.ForgetEnd(name) // I4
		scriptKeys = append(scriptKeys, s.keys.End(name))
		args[len(args)-2], args[len(args)-1] = end.String(), endMillis(end)
	}
	var result string
	var err error
	if wait && s.acks != nil {
		result, deleted.Acknowledged, err = s.acks.run(ctx, deleteScript, deleteLua, scriptKeys, args)
	} else {
		result, _, err = s.runScript(ctx, deleteScript, scriptKeys, args)
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
		if note != "" {
			// It is noted: what fails now is done by the sweeper.
			_ = s.index.DropNamed(ctx, shard, card)
		}
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
