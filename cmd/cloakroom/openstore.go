package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// openTimeout bounds one attempt to open the store.
	openTimeout = 5 * time.Second
	// Between two attempts the pause doubles from the first to the last.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
)

// startBackend starts what --redis-url asks for. Only dev may fall back to
// memory, and only from a Redis that would have been thrown away as well.
func (s *sidecar) startBackend(ctx context.Context) (*backend, error) {
	return connect(ctx, &connection{
		url:       &s.c.redisURL,
		access:    &s.c.redis,
		staleness: s.c.store.NearStaleness,
		fallBack:  s.p.name == "dev",
		env:       s.p.env,
		breakers:  s.breakers,
		watch:     s.trips.watch,
		parts:     s.parts,
		starting:  func() { s.ready.no("the embedded redis is starting") },
		log:       s.log,
	})
}

// openStore opens the store, and tries again as long as Redis is away: a
// sidecar often starts before its Redis. It does so too while a right is missing,
// which may be given any time, and names it; without the right to TIME it gives
// up. It returns nil if ctx ends.
func (s *sidecar) openStore(ctx context.Context, b *backend, may *rights) (*cache.Store, error) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		store, err := s.tryOpen(ctx, b)
		if err == nil {
			return store, nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if f, ok := errors.AsType[*cache.ForbiddenError](err); ok {
			return nil, &usageError{faults: []string{f.Error()}}
		}
		if !errors.Is(err, session.ErrUnavailable) {
			return nil, err
		}
		if acl.Forbidden(err) { // Redis may not say what is forbidden, as for keys
			if may.look(ctx); may.now.Load().fault != nil {
				err = fmt.Errorf("%w; %w", err, may.now.Load().fault)
			}
		}
		s.ready.no("waiting for redis: " + err.Error())
		s.log.Warn("redis is not usable yet, trying again", "redis", b.name, "in", pause.String(), "error", err)
		if err := s.parts.pause(ctx, pause); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *sidecar) tryOpen(ctx context.Context, b *backend) (*cache.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c := s.c.store
	c.Redis, c.Searches, c.Costly, c.Replicas = b.client, b.searches, b.costly, b.replicas
	c.ClientName, c.MaxSessions, c.Logger = b.clientName, b.maxSessions, s.log
	store, err := cache.Open(ctx, c)
	return store, s.c.redisURL.misfit(err)
}
