package cache

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// VerifyCopy returns the session whose current token is token from a copy, as
// Verify would, without asking Redis. ok is false if no copy may be used, or it
// has another token: then Verify knows more.
func (s *Store) VerifyCopy(token string) (stored *session.Stored, ok bool) {
	id, own := session.SplitToken(token)
	if s.near == nil || !own {
		return nil, false
	}
	epoch := s.near.epochs.now()
	stored, ok = s.near.session(id, s.clock())
	if !ok || stored == nil || !stored.Token.Matches(token) || !s.near.holds(epoch) {
		return nil, false
	}
	s.near.sessions.count(1, 0)
	return stored, true
}

// Verify is GetByToken for those who have to say why not: a session.ErrNotFound
// is session.ErrRevoked, session.ErrExpired or session.ErrWrongToken where that
// is still known. Of a token that somebody else made it never is.
func (s *Store) Verify(ctx context.Context, token string) (*session.Stored, error) {
	stored, err := s.GetByToken(ctx, token)
	if !errors.Is(err, session.ErrNotFound) {
		return stored, err
	}
	id, ok := session.SplitToken(token)
	if !ok {
		return nil, session.ErrNotFound
	}
	if _, err := s.Get(ctx, id); err == nil { // Redis was asked: it has another token
		return nil, session.ErrWrongToken
	}
	return nil, s.whyGone(ctx, id)
}

// whyGone says why a session that does not live any more has ended. That Redis
// does not answer is no error here: that the session is gone is known. One whose
// entry is there without its hash has expired; the sweeper removes it soon.
func (s *Store) whyGone(ctx context.Context, id session.ID) error {
	tombstone := redis.NewStringCmd(ctx, "get", s.keys.Tombstone(id))
	entry := redis.NewFloatCmd(ctx, "zscore", s.keys.Created(s.keys.ShardOf(id)), string(id))
	if err := s.gets.Do(ctx, tombstone, entry); err == nil {
		switch {
		case entry.Err() == nil:
			return session.ErrExpired
		case tombstone.Err() == nil:
			return session.ErrRevoked
		}
	}
	return session.ErrNotFound
}
