package cache

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

//go:embed lua/admit.lua
var admitLua string

var admitScript = redis.NewScript(admitLua)

// resultUserLimit is what put.lua and admit.lua answer if the user may have no
// further session.
const resultUserLimit = "userlimit"

// The limit on a user's sessions rests on the user's list, which has an entry
// of every live session of the user at every instant (I5): an entry of one more
// session is added only while fewer others are in it than are allowed, by the
// script that adds it. Whatever else is in the list (sessions that have
// ended, writes that are under way) counts until it is cleared, so the limit
// holds whoever writes, and making room cannot break it.

const (
	// evictions is how many sessions are evicted at a time.
	evictions = 16
	// evictSteps bounds the steps of evictFor, each of at most zlist.Chunk evictions.
	evictSteps = 100
)

// askOnly runs put.lua for a write whose entries in other shards were not let
// in, and which is therefore not done: it answers what else is in its way, and
// resultUserLimit if nothing is.
func (s *Store) askOnly(ctx context.Context, w *write) (result string, err error) {
	args := slices.Clone(w.args)
	args[putNote] = "-" // no write has such a note, so this one is too late
	result, _, err = s.runScript(ctx, putScript, w.keys, args)
	if result == "late" {
		result = resultUserLimit
	}
	return result, err
}

// evictFor clears the way for one more session of a user. What has ended is
// removed; if there is no room then, the oldest sessions are deleted, as many as
// are too many, or a *session.UserLimitError refuses the write. It returns what
// newWrite is to know. That there is room is only so at the moment; the write
// tells.
func (s *Store) evictFor(ctx context.Context, w *write) (twins []any, err error) {
	user, self := w.card.UserID, w.card.ID
	for range evictSteps {
		c, err := s.userListOf(ctx, user, self)
		if err != nil {
			return nil, unavailable(err)
		}
		if gone := c.notLive(); len(gone) > 0 {
			cleared, err := s.index.Clear(ctx, gone, s.clock())
			if err != nil {
				return nil, unavailable(err)
			}
			if cleared > 0 {
				continue // what is left is to be counted again
			}
		}
		surplus := len(c.sessions) - (s.maxPerUser - 1)
		if surplus <= 0 {
			return c.twins, nil
		}
		if !s.evictOldest {
			return nil, &session.UserLimitError{Limit: s.maxPerUser}
		}
		latest := s.clock().Add(session.MaxAhead) // I1
		if c.whole {
			return c.twins, s.evict(ctx, oldest(c.sessions, surplus, latest), &w.card)
		}
		// The list is longer than this: a part of it goes, and then the next. What
		// was created later than latest goes first, and is at the end that was read.
		if victims := oldest(c.ahead(latest), surplus, latest); len(victims) > 0 {
			if err := s.evict(ctx, victims, &w.card); err != nil {
				return nil, err
			}
			continue
		}
		part, err := s.oldestOfList(ctx, user, self, c.sessions[:s.maxPerUser-1])
		if err != nil {
			return nil, unavailable(err)
		}
		cleared := 0
		if gone := part.notLive(); len(gone) > 0 {
			if cleared, err = s.index.Clear(ctx, gone, s.clock()); err != nil {
				return nil, unavailable(err)
			}
		}
		victims := oldest(part.sessions, len(part.sessions), latest)
		if len(victims) == 0 && cleared == 0 {
			break
		}
		if err := s.evict(ctx, victims, &w.card); err != nil {
			return nil, err
		}
	}
	return nil, session.ErrConflict
}

// oldest returns the oldest live sessions among sessions, at most n, oldest first.
// One that was created after latest counts as older than all others: another
// clock's word must not keep it for ever.
func oldest(sessions []listedSession, n int, latest session.Time) (found []*session.Stored) {
	sorted := slices.Clone(sessions)
	slices.SortFunc(sorted, func(a, b listedSession) int { return a.compare(&b, latest) })
	for i := range sorted {
		if sorted[i].live != nil && len(found) < n {
			found = append(found, sorted[i].live)
		}
	}
	return found
}

// evict deletes sessions, each in the version that was read. One that was
// deleted or changed meanwhile is left: the caller looks again.
func (s *Store) evict(ctx context.Context, victims []*session.Stored, next *index.Card) error {
	var group errgroup.Group
	group.SetLimit(evictions)
	for _, victim := range victims {
		group.Go(func() error {
			_, err := s.delete(ctx, victim, "evicted", victim.Sequence+1, false)
			switch {
			case err == nil:
				s.evicted.Add(1)
				s.log.LogAttrs(ctx, slog.LevelInfo, "session evicted", slog.Bool("audit", true), slog.String("session_id", string(victim.ID)),
					slog.String("user_id", victim.UserID), slog.String("for_session_id", string(next.ID)), slog.Int("limit", s.maxPerUser))
			case errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict):
				return nil
			default:
				s.log.LogAttrs(ctx, slog.LevelWarn, "it is not known whether a session was evicted", slog.Bool("audit", true), slog.String("session_id", string(victim.ID)),
					slog.String("user_id", victim.UserID), slog.String("error", err.Error()))
			}
			return err
		})
	}
	return group.Wait()
}

// Evicted returns how many sessions this process has deleted to make room for
// newer ones of their users.
func (s *Store) Evicted() uint64 { return s.evicted.Load() }
