package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Get returns the session with this ID, or session.ErrNotFound. It is for
// those who only read: there is no Version, so it can not be replaced or
// deleted by what Get returns.
func (s *Store) Get(ctx context.Context, id session.ID) (*session.Stored, error) {
	field, err := s.rdb.HGet(ctx, s.keys.Session(id), fieldDoc).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, unavailable(err)
	}
	stored, err := storedOf(field)
	if err != nil {
		return nil, fmt.Errorf("%w: session %s: %w", session.ErrUnavailable, id, err)
	}
	return s.alive(stored)
}

// GetFresh returns the session with this ID as Redis has it now, with its
// Version, or session.ErrNotFound. It is for those who write: Put and Delete
// act on what it returns.
func (s *Store) GetFresh(ctx context.Context, id session.ID) (*session.Stored, error) {
	stored, err := s.readFresh(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.alive(stored)
}

// alive returns stored unless it is due, or nothing. (I1)
func (s *Store) alive(stored *session.Stored) (*session.Stored, error) {
	if stored == nil || stored.Due(s.clock()) {
		return nil, session.ErrNotFound
	}
	return stored, nil
}

// resolve reads sessions for the index.
func (s *Store) resolve(ctx context.Context, ids []session.ID, costly bool) ([]*session.Stored, error) {
	rdb := s.rdb
	if costly {
		rdb = s.costly
	}
	return readAll(ctx, rdb, s.keys, ids)
}
