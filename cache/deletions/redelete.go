package deletions

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
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
	// stepTimeout bounds one step.
	stepTimeout = 5 * time.Second
	// listChunk is how many sessions are asked for at once. (I10)
	listChunk = 250
)

// Config says how to delete again what has come back. All of it is required.
type Config struct {
	Redis redis.UniversalClient
	Keys  *keys.Space
	// Clock is the store's clock.
	Clock func() session.Time
	// Read reads what is stored of a session, come back or not, due or not; nil if
	// nothing is.
	Read func(ctx context.Context, id session.ID) (*session.Stored, error)
	// Delete deletes the version that was read, with the sequence of the deletion that
	// is remembered. It answers session.ErrConflict if another version is stored, and
	// session.ErrNotFound if none is.
	Delete func(ctx context.Context, back *session.Stored, sequence uint64) error
	Logger *slog.Logger
}

// burier deletes again what was deleted and has come back: what reads met, and
// what it finds by asking for every grave whenever Redis is not the server, or
// not the history, that it was. It belongs to one goroutine.
type burier struct {
	Config
	graves *Graves
	server string    // what Redis was known by when it was asked last
	second time.Time // when to look once more; zero: not
	failed bool      // a look was cut short

	logged time.Time // when what came back was logged last
	buried int       // since then
	first  session.ID
}

// Run deletes again what has come back, until ctx ends, and returns nil then. Faults
// are tried again. One goroutine may run it at a time: it is the only one that reads
// Graves.again. (I7)
func (g *Graves) Run(ctx context.Context, c Config) error {
	b := &burier{Config: c, graves: g}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			b.log(true)
			return nil
		case id := <-g.again:
			stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
			err := b.again(stepCtx, id)
			cancel()
			g.unqueue(id)
			b.failed = b.failed || err != nil
		case <-ticker.C:
			g.expire(c.Clock())
			b.watch(ctx)
		}
		b.log(false)
	}
}

// Look is for tests: it looks once, as Run does when Redis has become another server.
// Its error says that not all could be looked for.
func (g *Graves) Look(ctx context.Context, c Config) error {
	b := &burier{Config: c, graves: g}
	b.watch(ctx)
	if b.failed {
		return errors.New("not all graves were looked at")
	}
	return nil
}

// watch looks for returned sessions if there is a reason to.
func (b *burier) watch(ctx context.Context) {
	if b.graves.count.Load() == 0 {
		return
	}
	askCtx, cancel := context.WithTimeout(ctx, stepTimeout)
	server, err := redisinfo.History(askCtx, b.Redis)
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
	b.graves.each(listChunk, func(ids []session.ID) bool {
		stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
		defer cancel()
		there := make([]*redis.IntCmd, len(ids))
		_, err := b.Redis.Pipelined(stepCtx, func(pipe redis.Pipeliner) error {
			for i, id := range ids {
				there[i] = pipe.Exists(stepCtx, b.Keys.Session(id))
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
		stored, err := b.Read(ctx, id)
		if err != nil {
			return err
		}
		now := b.Clock()
		last, ok := b.graves.Last(id, now)
		if stored == nil || !ok || stored.Sequence > last || stored.Due(now) {
			return nil
		}
		err = b.Delete(ctx, stored, last)
		switch {
		case err == nil:
			if b.buried++; b.buried == 1 {
				b.first = id
			}
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
	b.Logger.Warn("sessions that had been deleted were in Redis again, after a failover or a restore, and were deleted again",
		slog.Int("sessions", b.buried), slog.String("first_session_id", string(b.first)))
	b.logged, b.buried = time.Now(), 0
}
