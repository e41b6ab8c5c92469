package transfer

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/cache/deletions"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

const (
	// batch is how many sessions, deletions or ends are read in one round trip.
	batch = 250
	// scanCount is about how many keys one SCAN looks at. (I10)
	scanCount = 250
)

// source reads what is exported. It writes nothing.
type source struct {
	rdb  redis.UniversalClient
	keys *keys.Space
	now  func() session.Time
}

// count returns how many sessions there are, about: some may have ended.
func (s *source) count(ctx context.Context) (n uint64, err error) {
	pipe := s.rdb.Pipeline()
	counts := make([]*redis.IntCmd, s.keys.Shards())
	for shard := range counts {
		counts[shard] = pipe.ZCard(ctx, s.keys.Created(shard))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, err
	}
	for _, c := range counts {
		n += uint64(c.Val())
	}
	return n, nil
}

// standings reads sessions and tombstones, and until when the tombstones are kept.
func (s *source) standings(ctx context.Context, ids []session.ID) ([]cache.Standing, []*Deletion, error) {
	found, err := cache.ReadStandings(ctx, s.rdb, s.keys, ids)
	if err != nil {
		return nil, nil, err
	}
	deleted := make([]*Deletion, len(ids))
	var dying []string
	for i := range found {
		if found[i].Tombstone != "" {
			dying = append(dying, s.keys.Tombstone(ids[i]))
		}
	}
	if len(dying) == 0 {
		return found, deleted, nil
	}
	until, err := s.until(ctx, dying)
	if err != nil {
		return nil, nil, err
	}
	for i := range found {
		if found[i].Tombstone == "" {
			continue
		}
		if until[0] > 0 { // else it has just been forgotten
			deleted[i] = &Deletion{ID: ids[i], Tombstone: found[i].Tombstone, Until: until[0].Std()}
		}
		until = until[1:]
	}
	return found, deleted, nil
}

// until returns when Redis will drop each key, 0 if it has dropped it.
func (s *source) until(ctx context.Context, dying []string) ([]session.Time, error) {
	replies := make([]*redis.IntCmd, len(dying))
	_, err := s.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range dying {
			replies[i] = redis.NewIntCmd(ctx, "pexpiretime", key)
			_ = pipe.Process(ctx, replies[i]) // only takes it
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	until := make([]session.Time, len(dying))
	for i, reply := range replies {
		switch ms := reply.Val(); {
		case ms > 0:
			until[i] = session.Time(ms * 1000)
		case ms == -1: // somebody has taken its TTL
			until[i] = s.now().Add(deletions.TombstoneFor)
		}
	}
	return until, nil
}

// ends reads ends; nil is none, or one that is forgotten. What cannot be read is told.
func (s *source) ends(ctx context.Context, names []session.EndName, unreadable func(name string, err error)) ([]*Ended, error) {
	replies := make([]*redis.StringCmd, len(names))
	_, err := s.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, name := range names {
			replies[i] = pipe.Get(ctx, s.keys.End(name))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, err
	}
	ended, now := make([]*Ended, len(names)), s.now()
	for i, reply := range replies {
		text, err := reply.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		var end session.End
		if err == nil {
			end, err = session.ParseEnd(text)
		}
		e := newEnded(names[i], end)
		if err == nil {
			err = e.validate()
		}
		switch {
		case err != nil:
			unreadable("the end of "+string(names[i]), err)
		case end.Until > now:
			ended[i] = e
		}
	}
	return ended, nil
}

// scan shows visit all keys of some kinds, a few at a time, master by master. What is there all the while comes at
// least once, what comes or goes meanwhile may.
func (s *source) scan(ctx context.Context, kinds string, wait func(context.Context, int) error, visit func(ctx context.Context, keys []string) error) error {
	masters, err := redisinfo.Masters(ctx, s.rdb)
	if err != nil {
		return err
	}
	pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s.keys.Prefix()) + "[" + kinds + "]:*"
	for _, m := range masters {
		for cursor := uint64(0); ; {
			found, next, err := m.Scan(ctx, cursor, pattern, scanCount).Result()
			if err == nil {
				err = wait(ctx, scanCost)
			}
			if err == nil && len(found) > 0 {
				err = visit(ctx, found)
			}
			if err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// scanCost is what a SCAN counts for, in sessions.
const scanCost = 10

// clock follows the store's clock.
type clock interface {
	Measure(ctx context.Context, rdb redis.UniversalClient) error
	Now() session.Time
}

// clockEvery is how often it is measured.
const clockEvery = time.Second
