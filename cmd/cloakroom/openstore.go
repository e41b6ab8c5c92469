package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

const (
	// openTimeout bounds one attempt to open the store.
	openTimeout = 5 * time.Second
	// Between two attempts the pause doubles from the first to the last.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
)

// startBackend starts what --redis-url asks for. Only dev may fall back to
// memory, and only from a Redis that would have been thrown away as well.
func (s *sidecar) startBackend(ctx context.Context) (*redisconn.Backend, error) {
	return redisconn.Connect(ctx, &redisconn.Connection{
		URL:       &s.c.RedisURL,
		Access:    &s.c.Redis,
		Staleness: s.c.Store.NearStaleness,
		FallBack:  s.p.name == "dev",
		Env:       s.p.env,
		Breakers:  s.breakers,
		Watch:     s.trips.Watch,
		Parts:     s.parts,
		Starting:  func() { s.ready.No("the embedded redis is starting") },
		Log:       s.log,
	})
}

// openStore opens the store, and tries again as long as Redis is away: a
// sidecar often starts before its Redis. It does so too while a right is missing,
// which may be given any time, and names it; without the right to TIME it gives
// up. It returns nil if ctx ends.
func (s *sidecar) openStore(ctx context.Context, b *redisconn.Backend, may *readiness.Rights) (*cache.Store, error) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		store, err := s.tryOpen(ctx, b)
		if err == nil {
			return store, nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if f, ok := errors.AsType[*cache.ForbiddenError](err); ok {
			return nil, &usage.Error{Faults: []string{f.Error()}}
		}
		if !errors.Is(err, session.ErrUnavailable) {
			return nil, err
		}
		if acl.Forbidden(err) { // Redis may not say what is forbidden, as for keys
			if may.Look(ctx); may.Fault() != nil {
				err = fmt.Errorf("%w; %w", err, may.Fault())
			}
		}
		s.ready.No("waiting for redis: " + err.Error())
		s.log.Warn("redis is not usable yet, trying again", "redis", b.Name, "in", pause.String(), "error", err)
		if err := s.parts.Pause(ctx, pause); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *sidecar) tryOpen(ctx context.Context, b *redisconn.Backend) (*cache.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c := s.c.Store
	c.Redis, c.Searches, c.Costly, c.Replicas = b.Client, b.Searches, b.Costly, b.Replicas
	c.ClientName, c.MaxSessions, c.Logger = b.ClientName, b.MaxSessions, s.log
	if s.upstream != nil {
		c.Upstream = &cache.Upstream{
			MaxAge: s.c.Upstream.MaxAge, MaxAgeProven: s.c.Upstream.MaxAgeProven, Keep: s.c.Upstream.Keep,
			Ask: s.upstream.Session, Tie: s.upstream.Tie, UserOf: s.upstream.UserOf, SessionsOf: s.upstream.SessionsOf,
			ProbesPerSecond: s.c.Upstream.ProbeRate, ProbesWaiting: max(1, s.c.API.MaxInFlight/4), // of the verifies at work
			Timeout: s.c.Upstream.Client.Timeout, MaxBytes: s.c.API.MaxSessionBytes,
		}
	}
	store, err := cache.Open(ctx, c)
	return store, s.c.RedisURL.Misfit(err)
}
