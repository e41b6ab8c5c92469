package cache

import (
	"context"
	"errors"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Used says whether Use was called for a token, here or in another process,
// and its time has not come.
func (s *Store) Used(ctx context.Context, token session.TokenHash) (bool, error) {
	call := batch.NewCall()
	defer call.Release()
	call.Add("exists", s.keys.Used(token))
	if err := s.gets.Do(ctx, call); err != nil {
		return false, unavailable(err)
	}
	replies := call.Replies()
	n, _, err := replies.Text()
	if err != nil {
		return false, unavailable(err)
	}
	return string(n) == "1", nil
}

// Use notes, until an instant, that a token which counts once was used, and
// says whether this is the first time. After session.ErrUnavailable it may or
// may not be noted.
func (s *Store) Use(ctx context.Context, token session.TokenHash, until session.Time) (first bool, err error) {
	left := max(until.Sub(s.clock()), time.Millisecond)
	reply := redis.NewStatusCmd(ctx, "set", s.keys.Used(token), "", "nx", "px", left.Milliseconds())
	if err := s.writes.Do(ctx, reply); err != nil {
		return false, unavailable(err)
	}
	return !errors.Is(reply.Err(), redis.Nil), nil
}
