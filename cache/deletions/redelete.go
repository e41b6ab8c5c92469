package deletions

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// watchEvery is how often it is asked whether Redis is still the same server.
	watchEvery = time.Second
	// secondRound is how long after the first look for returned sessions the
	// second comes: an old master may have taken deletions until then.
	secondRound = 10 * time.Second
	// redeletedLogEvery is how often at most it is logged that sessions came back.
	redeletedLogEvery = 10 * time.Second
	// redeleteTries is how often a returned session is read again that others change.
	redeleteTries = 5
	// stepTimeout bounds one step.
	stepTimeout = 5 * time.Second
	// endsAtOnce is how many ends are written again side by side.
	endsAtOnce = 32
	// askedAtOnce is how many sessions are asked for in one round trip.
	askedAtOnce = 250
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
	// Ends are the ends that this process remembers, nil if it remembers none. WriteEnd writes one.
	Ends     *Ends
	WriteEnd func(ctx context.Context, name session.EndName, e session.End) error
	Logger   *slog.Logger
}

// redeleter deletes again what was deleted and has come back: what reads have found,
// and what it finds by asking for every remembered deletion when Redis is not the server, or
// not the history, that it was. It belongs to one goroutine.
type redeleter struct {
	Config
	remembered *Remembered
	server     string    // what Redis was known by when it was asked last
	second     time.Time // when to look once more; zero: not
	failed     bool      // a look was cut short

	logged    time.Time // when what came back was logged last
	redeleted int       // since then
	first     session.ID
}

// Run deletes again what has come back, until ctx ends, and returns nil then. Faults
// are tried again. One goroutine may run it at a time: it is the only one that reads
// Remembered.again. (I7)
func (r *Remembered) Run(ctx context.Context, c Config) error {
	b := &redeleter{Config: c, remembered: r}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			b.log(true)
			return nil
		case id := <-r.again:
			stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
			err := b.again(stepCtx, id)
			cancel()
			r.unqueue(id)
			b.failed = b.failed || err != nil
		case name := <-c.Ends.lost():
			b.failed = !b.writeEnds(ctx, name) || b.failed
		case <-ticker.C:
			r.expire(c.Clock())
			c.Ends.expire(c.Clock())
			b.watch(ctx)
		}
		b.log(false)
	}
}

// Look is for tests: it looks once, as Run does when Redis has become another server.
// Its error says that not all could be looked for.
func (r *Remembered) Look(ctx context.Context, c Config) error {
	b := &redeleter{Config: c, remembered: r}
	b.watch(ctx)
	if b.failed {
		return errors.New("not all remembered deletions were looked for")
	}
	return nil
}

// watch looks for returned sessions if there is a reason to.
func (b *redeleter) watch(ctx context.Context) {
	if b.remembered.count.Load() == 0 && b.Ends.Len() == 0 {
		return
	}
	askCtx, cancel := context.WithTimeout(ctx, stepTimeout)
	server, err := redisinfo.History(askCtx, b.Redis)
	cancel()
	if err != nil {
		// Redis is away, or refuses INFO. Reads still find what comes back.
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
	b.failed = !b.writeEnds(ctx, b.Ends.names()...) || b.failed
}

// writeEnds writes ends again, side by side, and says whether all were written. What Redis has
// stays, if it refuses more.
func (b *redeleter) writeEnds(ctx context.Context, names ...session.EndName) (all bool) {
	var group errgroup.Group
	group.SetLimit(endsAtOnce)
	var failed atomic.Bool
	for _, name := range names {
		group.Go(func() error {
			e, ok := b.Ends.get(name, b.Clock())
			if !ok || failed.Load() {
				return nil
			}
			stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
			defer cancel()
			if b.WriteEnd(stepCtx, name, e) != nil {
				failed.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait() // I7
	return !failed.Load()
}

// look asks for the session of every remembered deletion, askedAtOnce at a time. Hardly
// any exists.
func (b *redeleter) look(ctx context.Context) {
	b.remembered.each(askedAtOnce, func(ids []session.ID) bool {
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
func (b *redeleter) again(ctx context.Context, id session.ID) error {
	for range redeleteTries {
		stored, err := b.Read(ctx, id)
		if err != nil {
			return err
		}
		now := b.Clock()
		last, ok := b.remembered.Last(id, now)
		if stored == nil || !ok || stored.Sequence > last || stored.Due(now) {
			return nil
		}
		err = b.Delete(ctx, stored, last)
		switch {
		case err == nil:
			if b.redeleted++; b.redeleted == 1 {
				b.first = id
			}
			return nil
		case !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrNotFound):
			return err
		}
	}
	return nil // others write it, with higher sequences
}

// log logs what came back, at most every redeletedLogEvery.
func (b *redeleter) log(last bool) {
	if b.redeleted == 0 || !last && time.Since(b.logged) < redeletedLogEvery {
		return
	}
	b.Logger.Warn("sessions that had been deleted were in Redis again, after a failover or a restore, and were deleted again",
		slog.Int("sessions", b.redeleted), slog.String("first_session_id", string(b.first)))
	b.logged, b.redeleted = time.Now(), 0
}
