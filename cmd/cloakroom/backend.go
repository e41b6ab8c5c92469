package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

const (
	// openTimeout bounds one attempt to open the store.
	openTimeout = 5 * time.Second
	// Between two attempts the pause doubles from the first to the last.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
	// loadingNotice is how often it is logged that the embedded server still loads.
	loadingNotice = 5 * time.Second
	// Between two pings of a starting server the pause doubles likewise.
	firstPing, lastPing = 5 * time.Millisecond, 200 * time.Millisecond
	// costlyConns is how many costly searches are on their way to Redis at a time.
	costlyConns = 4
)

// backend is where the sessions are.
type backend struct {
	name        string // for people; no password
	clientName  string // of its connections, for CLIENT LIST
	client      redis.UniversalClient
	searches    redis.UniversalClient // for searches, so that the others never wait for a connection
	costly      redis.UniversalClient // for costly searches likewise
	replicas    redis.UniversalClient // for costly searches that may lag; nil if none may
	maxSessions int                   // 0 has no limit
	// master is what client, searches and costly stay with; nil on a Cluster, and
	// where the server is ours.
	master *endpoint.Endpoint
}

// startBackend starts what --redis-url asks for. Only dev may fall back to
// memory, and only from a Redis that would have been thrown away as well.
func (s *sidecar) startBackend(ctx context.Context) (*backend, error) {
	u := s.c.redisURL
	switch {
	case u.memory:
		return s.startMemory()
	case u.embedded:
		e, err := newEmbedded(ctx, u.dir, s.p.env, s.log)
		if errors.Is(err, errNoRedis) && s.p.name == "dev" && u.dir == "" {
			s.log.Warn("falling back to memory:", "because", err)
			return s.startMemory()
		}
		if err != nil {
			return nil, err
		}
		return s.startEmbedded(ctx, e)
	}
	return s.connectURL(&u)
}

func (s *sidecar) startMemory() (*backend, error) {
	m, err := newMemory()
	if err != nil {
		return nil, err
	}
	s.log.Warn("memory: is for trying out only: sessions are gone at exit", "most_sessions", memorySessions)
	s.parts.start("memory", m.Run)
	return s.connect("memory:", m.options(), memorySessions), nil
}

// startEmbedded starts the server and waits until it answers PING: at once if
// it is new, after loading if it has a file of sessions.
func (s *sidecar) startEmbedded(ctx context.Context, e *embedded) (*backend, error) {
	s.parts.start("embedded redis", e.Run)
	b := s.connect(s.c.redisURL.masked, e.options(), 0)
	s.ready.no("the embedded redis is starting")
	notice := time.NewTicker(loadingNotice)
	defer notice.Stop()
	for pause := firstPing; ctx.Err() == nil; pause = min(2*pause, lastPing) {
		err := b.client.Ping(ctx).Err()
		if err == nil {
			e.output.warn(true)
			break
		}
		select {
		case <-notice.C:
			s.log.Info("the embedded redis is still starting", "it_says", err)
		default:
		}
		if err := s.parts.pause(ctx, pause); err != nil {
			return nil, err
		}
	}
	return b, nil
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
	store, err := cache.Open(ctx, cache.Config{
		Redis:              b.client,
		Searches:           b.searches,
		Costly:             b.costly,
		Replicas:           b.replicas,
		ClientName:         b.clientName,
		Prefix:             s.c.keyPrefix,
		Shards:             s.c.shards,
		MaxCandidates:      s.c.maxCandidates,
		MaxSessions:        b.maxSessions,
		MaxSessionsPerUser: s.c.maxPerUser,
		EvictOldest:        s.c.crowdPolicy == evictOldest,
		NearBytes:          s.c.nearBytes,
		NearStaleness:      s.c.nearStale,
		StaleIfError:       s.c.staleIfError,
		AuditEvery:         s.c.auditInterval,
		RevokeWaitReplicas: s.c.revokeReplicas,
		RevokeWaitTimeout:  s.c.revokeWait,
		RememberDeletions:  s.c.rememberDeletions,
		Logger:             s.log,
	})
	return store, s.c.redisURL.misfit(err)
}
