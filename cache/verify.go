package cache

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

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
