package cache

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redisclock"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

const (
	// sweepEvery is how long the sweeper rests when nothing is due.
	sweepEvery = 250 * time.Millisecond
	// metaEvery is how often the recorded number of shards is compared.
	metaEvery = 5 * time.Second
	// unusedLooks is how often in Upstream.Keep all copies are looked at, and unusedRate how many in a second.
	unusedLooks, unusedRate = 8, 500
	// backgroundTimeout bounds one step of background work.
	backgroundTimeout = 5 * time.Second
)

// Run follows the server's clock, sweeps expired sessions' entries, audits, removes copies that nobody uses, keeps
// the near cache right and deletes again what was deleted and has come back, until
// ctx ends. It returns nil then. Faults are logged and tried again, with one exception:
// if Redis lost its data and another process has recorded another number of
// shards since, the two would not see each other's sessions, and Run returns an
// error that is no session.ErrUnavailable.
func (s *Store) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	if s.follow != nil {
		group.Go(func() error { return s.loop(ctx, "follow Redis' clock", redisclock.Every, s.followClock) })
	}
	group.Go(func() error { return s.loop(ctx, "sweep", sweepEvery, s.sweepBacklog) })
	group.Go(func() error { return s.loop(ctx, "compare the number of shards", metaEvery, s.compareShards) })
	if s.auditEvery > 0 {
		group.Go(func() error { return s.runAudits(ctx) })
	}
	if s.upstream != nil && s.upstream.MaxAgeProven > 0 {
		group.Go(func() error { return s.loop(ctx, "read the record of news", newsEvery, s.followNews) })
	}
	if s.upstream != nil && s.upstream.Keep > 0 {
		group.Go(func() error { return s.runUnused(ctx) })
	}
	if s.near != nil {
		group.Go(func() error { return s.near.Run(ctx) })
	}
	if s.remembered != nil {
		group.Go(func() error { return s.remembered.Run(ctx, s.redeletion()) })
	}
	return group.Wait()
}

func (s *Store) followClock(ctx context.Context) error {
	if err := s.follow.Measure(ctx, s.rdb); err != nil {
		return unavailable(err)
	}
	return nil
}

// ClockSpread is how far the clocks of a Cluster's masters are apart, at least,
// by the last measurement.
func (s *Store) ClockSpread() time.Duration {
	if s.follow == nil {
		return 0
	}
	return s.follow.Spread()
}

// compareShards records the number of shards again if Redis has lost it.
func (s *Store) compareShards(ctx context.Context) error {
	_, err := agreeOnShards(ctx, s.rdb, s.keys.Prefix(), s.keys.Shards())
	return err
}

// sweepBacklog clears what is due, and tells how much of it is left. That the
// backlog was too long for one step is no fault.
func (s *Store) sweepBacklog(ctx context.Context) error {
	swept, err := s.Sweep(ctx)
	if swept > 0 && ctx.Err() != nil {
		err = nil
	}
	countCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if left, countErr := s.index.Backlog(countCtx, s.clock()); countErr == nil {
		s.backlog.Store(left)
	}
	return err
}

// Sweep clears all that is due now: the entries of expired sessions, and what
// writes that were cut off left behind. It returns how many of both it cleared.
// A fault in one shard does not keep it from the others.
func (s *Store) Sweep(ctx context.Context) (swept int, err error) {
	for more := true; more && ctx.Err() == nil; {
		var n int
		n, more, err = s.index.Sweep(ctx, s.clock())
		swept += n
		s.swept.Add(uint64(n))
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return swept, unavailable(err)
	}
	return swept, nil
}

// SweepStats returns how many expired sessions and cut-off writes this process
// has cleared, and how many due sessions were left after the last sweep: as
// many as that, at most, the total of a large search may be too high.
func (s *Store) SweepStats() (swept uint64, backlog int64) {
	return s.swept.Load(), s.backlog.Load()
}

// loop does a step, rests, and does it again until ctx ends. A fault is
// logged when it begins and when it has passed.
func (s *Store) loop(ctx context.Context, name string, every time.Duration, step func(context.Context) error) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false
	for {
		stepCtx, cancel := context.WithTimeout(ctx, backgroundTimeout)
		err := step(stepCtx)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, session.ErrUnavailable):
			return err
		case err != nil && !failing:
			s.log.Warn("background work fails and is tried again", "work", name, "error", err)
		case err == nil && failing:
			s.log.Info("background work succeeds again", "work", name)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// runUnused removes copies that nobody uses, until ctx ends. It begins at a random moment, as runAudits does: several
// processes that do the same at the same time do no harm, only more work.
func (s *Store) runUnused(ctx context.Context) error {
	every := s.upstream.Keep / unusedLooks
	rest := time.NewTimer(rand.N(every))
	defer rest.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rest.C:
		}
		err := s.removeUnused(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			s.log.Warn("background work fails and is tried again", "work", "remove unused copies", "error", err)
		case err == nil && failing:
			s.log.Info("background work succeeds again", "work", "remove unused copies")
		}
		failing = err != nil
		rest.Reset(every)
	}
}

// removeUnused looks at all copies, slowly, and removes those that nobody has used for Upstream.Keep, with their
// entries and without a tombstone: their sessions live. A copy that is used is asked for again, so it is by its CheckedAt that
// one is known that is not. What is written meanwhile stays.
//
// Of a copy that is outdated nobody knows when it was used. Without a token it goes: its next use would replace all of it.
// With one it is asked for, one after the other, and so has a date from then on, by which it goes later. Were it removed, a
// token that comes without the session's ID would not be known any more, though it is good.
func (s *Store) removeUnused(ctx context.Context) error {
	last := s.clock().Add(-s.upstream.Keep)
	pace := rate.NewLimiter(unusedRate, auditBurst)
	away := false
	// What was created later was asked for later.
	q := &index.Query{Sees: index.Sees{All: true}, Predicates: []index.Predicate{index.ByCreation(index.Dates{Min: math.MinInt64, Max: last})}}
	return s.Walk(ctx, q, func(ctx context.Context, stored []*session.Stored) error {
		for _, old := range stored {
			switch {
			case old.CheckedAt >= last:
				continue
			case old.CheckedAt == 0 && !old.Token.IsZero():
				if !away {
					_, err := s.askUpstream(ctx, old.ID, "")
					away = err != nil // there is another time
				}
				continue
			}
			switch _, err := s.delete(ctx, old, "", 0, false); {
			case err == nil:
				s.upstream.unused.Add(1)
			case !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrNotFound): // else somebody uses it, or was faster
				return err
			}
		}
		return pace.WaitN(ctx, max(1, min(len(stored), auditBurst)))
	})
}
