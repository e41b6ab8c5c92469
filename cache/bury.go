package cache

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

const (
	// watchEvery is how often it is asked whether Redis is still the same server.
	watchEvery = time.Second
	// secondRound is how long after the first look for returned sessions the
	// second comes: an old master may have taken deletions until then.
	secondRound = 10 * time.Second
	// buriedLogEvery is how often at most it is logged that sessions came back.
	buriedLogEvery = 10 * time.Second
	// buryTries is how often a returned session is read again that others change.
	buryTries = 5
	// reasonReturned is the reason in the tombstone of one that was deleted again.
	reasonReturned = "returned"
)

// burier deletes again what was deleted and has come back: what reads met, and
// what it finds by asking for every grave whenever Redis is not the server, or
// not the history, that it was. It belongs to one goroutine.
type burier struct {
	s      *Store
	server string    // what Redis was known by when it was asked last
	second time.Time // when to look once more; zero: not
	failed bool      // a look was cut short

	logged time.Time // when what came back was logged last
	buried int       // since then
	first  session.ID
}

// bury runs until ctx ends. It is the only one that reads graves.again. (I7)
func (s *Store) bury(ctx context.Context) error {
	b := &burier{s: s}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			b.log(true)
			return nil
		case id := <-s.graves.again:
			stepCtx, cancel := context.WithTimeout(ctx, backgroundTimeout)
			err := b.again(stepCtx, id)
			cancel()
			s.graves.unqueue(id)
			b.failed = b.failed || err != nil
		case <-ticker.C:
			s.graves.expire(s.clock())
			b.watch(ctx)
		}
		b.log(false)
	}
}

// watch looks for returned sessions if there is a reason to.
func (b *burier) watch(ctx context.Context) {
	if b.s.graves.count.Load() == 0 {
		return
	}
	askCtx, cancel := context.WithTimeout(ctx, backgroundTimeout)
	server, err := redisinfo.History(askCtx, b.s.rdb)
	cancel()
	if err != nil {
		// Away, or it may not be asked. What comes back is still met by reads.
		return
	}
	now := time.Now()
	changed := server != b.server
	if !changed && !b.failed && (b.second.IsZero() || now.Before(b.second)) {
		return
	}
	b.failed, b.second = false, time.Time{}
	if changed {
		b.server, b.second = server, now.Add(secondRound)
	}
	b.look(ctx)
}

// look asks for every session that there is a grave of, 250 at a time. Hardly
// any is there.
func (b *burier) look(ctx context.Context) {
	b.s.graves.each(listChunk, func(ids []session.ID) bool {
		stepCtx, cancel := context.WithTimeout(ctx, backgroundTimeout)
		defer cancel()
		there := make([]*redis.IntCmd, len(ids))
		_, err := b.s.rdb.Pipelined(stepCtx, func(pipe redis.Pipeliner) error {
			for i, id := range ids {
				there[i] = pipe.Exists(stepCtx, b.s.keys.Session(id))
			}
			return nil
		})
		answered := false
		b.failed = b.failed || err != nil
		for i, id := range ids {
			if there[i].Err() != nil { // on a Cluster one master may be away
				continue
			}
			answered = true
			if there[i].Val() > 0 {
				err := b.again(stepCtx, id)
				b.failed = b.failed || err != nil
			}
		}
		return answered && ctx.Err() == nil
	})
}

// again deletes a session once more if it has come back.
func (b *burier) again(ctx context.Context, id session.ID) error {
	for range buryTries {
		stored, err := b.s.readFresh(ctx, id)
		if err != nil {
			return err
		}
		now := b.s.clock()
		last, ok := b.s.graves.last(id, now)
		if stored == nil || !ok || stored.Sequence > last || stored.Due(now) {
			return nil
		}
		_, err = b.s.delete(ctx, stored, reasonReturned, last, false)
		switch {
		case err == nil:
			if b.buried++; b.buried == 1 {
				b.first = id
			}
			b.s.buried.Add(1)
			return nil
		case !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrNotFound):
			return err
		}
	}
	return nil // others write it, and those know its sequence
}

// log tells of what came back, now and then.
func (b *burier) log(last bool) {
	if b.buried == 0 || !last && time.Since(b.logged) < buriedLogEvery {
		return
	}
	b.s.log.Warn("sessions that had been deleted were in Redis again, after a failover or a restore, and were deleted again",
		slog.Int("sessions", b.buried), slog.String("first_session_id", string(b.first)))
	b.logged, b.buried = time.Now(), 0
}
