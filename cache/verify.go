package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// VerifyCopy returns the session whose current token is token from a copy, as
// GetByToken would, without asking Redis. ok is false if no copy may be used, or
// it has another token: then GetByToken knows more.
func (s *Store) VerifyCopy(token string) (stored *session.Stored, ok bool) {
	id, own := session.SplitToken(token)
	if s.near == nil || !own {
		return nil, false
	}
	return s.near.Copy(id, token)
}

// verifyFresh asks Redis for all that there is to know about a token that looks
// like one of session id, in one round trip: a copy within the bound may have
// the token before this one, or lack the session. One whose entry is there
// without its hash has expired; the sweeper removes it soon.
func (s *Store) verifyFresh(ctx context.Context, id session.ID, token string) (*session.Stored, error) {
	call := batch.NewCall()
	defer call.Release()
	call.Add("hget", s.keys.Session(id), fieldDoc)
	call.Add("get", s.keys.Tombstone(id))
	call.Add("zscore", s.keys.Created(s.keys.ShardOf(id)), string(id))
	call.Add("zcard", s.keys.Token(session.HashToken(token)))
	if err := s.gets.Do(ctx, call); err != nil {
		return nil, unavailable(err)
	}
	replies := call.Replies()
	doc, _, docErr := replies.Text()
	tombstone, deleted, tombstoneErr := replies.Text()
	_, listed, entryErr := replies.Text()
	holders, _, holdersErr := replies.Text()
	if err := errors.Join(docErr, tombstoneErr, entryErr, holdersErr); err != nil {
		return nil, unavailable(err)
	}
	stored, err := storedOf(textIn(doc))
	if err != nil {
		return nil, fmt.Errorf("%w: session %s: %w", session.ErrUnavailable, id, err)
	}
	there := stored != nil
	stored = s.remembered.Pass(stored, s.clock())
	returned := there && stored == nil
	if stored == nil && deleted {
		s.remembered.AddTombstone(id, string(tombstone), s.clock()) // whoever deleted it
	}
	lives := stored != nil && !stored.Due(s.clock())
	if lives && stored.Token.Matches(token) {
		return stored, nil
	}
	if string(holders) != "0" { // somebody else made it, in our shape
		if found, err := s.getByForeignToken(ctx, nil, token); !errors.Is(err, session.ErrNotFound) {
			return found, err
		}
	}
	switch {
	case lives:
		return nil, session.ErrWrongToken
	case returned:
		return nil, session.ErrRevoked
	case listed:
		return nil, session.ErrExpired
	case deleted:
		return nil, session.ErrRevoked
	}
	if _, remembered := s.remembered.Last(id, s.clock()); remembered { // its tombstone was lost
		return nil, session.ErrRevoked
	}
	return nil, session.ErrNotFound
}
