package cache

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/delete.lua
var deleteLua string

var deleteScript = redis.NewScript(deleteLua)

// tombstoneFor is how long a deletion is remembered.
const tombstoneFor = 24 * time.Hour

// Deleted says what a delete left behind.
type Deleted struct {
	// Sequence is one above that of the deleted version.
	Sequence   uint64
	ChangeDate session.Time
}

// Delete deletes old, the version that the caller read with GetFresh, and leaves a tombstone
// with the sequence of the deletion and the reason, a short word. It answers
// session.ErrConflict if another version is stored, session.ErrNotFound if
// there is none. It goes through on a Redis that is out of memory. After
// session.ErrUnavailable it may or may not have happened.
//
// An old without a Version says that nothing is stored: then only the
// tombstone is left, with the sequence above old.Sequence.
func (s *Store) Delete(ctx context.Context, old *session.Stored, reason string) (Deleted, error) {
	if old.Due(s.clock()) {
		return Deleted{}, session.ErrNotFound
	}
	card := index.CardOf(old)
	s.near.forget(card)
	defer s.near.forget(card) // I4: also if it is not known whether it happened
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
	deleted := Deleted{Sequence: old.Sequence + 1, ChangeDate: s.clock()}
	// Random bytes make this delete known again when its reply is lost.
	var nonce [versionLen]byte
	_, _ = rand.Read(nonce[:]) // never fails
	tombstone := fmt.Sprintf("%d %s %x", deleted.Sequence, reason, nonce)
	result, _, err := s.runScript(ctx, deleteScript, scriptKeys, []any{
		old.Version, string(old.ID), card.Pack(), tombstone, tombstoneFor.Milliseconds(), index.Score(deleted.ChangeDate), note,
	})
	if err != nil {
		return Deleted{}, err
	}
	switch result {
	case "ok", "done":
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
