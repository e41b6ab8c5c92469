package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/redis/go-redis/v9"
)

const (
	// loadingNotice is how often it is logged that the embedded server still loads.
	loadingNotice = 5 * time.Second
	// Between two pings of a starting server the pause doubles from the first to the last.
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

// connection is how to get from a Redis URL to clients. Nothing in it is nil, but for
// watch and starting.
type connection struct {
	url    *redisURL
	access *redisAccess
	// staleness is for how long a proof of the master holds.
	staleness time.Duration
	// fallBack to memory where there is no server to embed, if it would have lost the sessions at the end as well.
	fallBack bool
	// env has the PATH that a server to embed is looked for on.
	env      []string
	breakers *breaker.Breakers
	// watch sees each client; nil does not.
	watch func(*redis.Client) *redis.Client
	// parts runs what the clients need, and closes them.
	parts *parts
	// starting is told that an embedded server is being waited for; nil is not.
	starting func()
	log      *slog.Logger
}

// connect starts what the URL asks for.
func connect(ctx context.Context, c *connection) (*backend, error) {
	u := c.url
	switch {
	case u.memory:
		return c.startMemory()
	case u.embedded:
		e, err := newEmbedded(ctx, u.dir, c.env, c.log)
		if errors.Is(err, errNoRedis) && c.fallBack && u.dir == "" {
			c.log.Warn("falling back to memory:", "because", err)
			return c.startMemory()
		}
		if err != nil {
			return nil, err
		}
		return c.startEmbedded(ctx, e)
	}
	return c.connectURL()
}

func (c *connection) startMemory() (*backend, error) {
	m, err := newMemory()
	if err != nil {
		return nil, err
	}
	c.log.Warn("memory: is for trying out only: sessions are gone at exit", "most_sessions", memorySessions)
	c.parts.start("memory", m.Run)
	return c.connectOwn("memory:", m.options(), memorySessions), nil
}

// startEmbedded starts the server and waits until it answers PING: at once if
// it is new, after loading if it has a file of sessions.
func (c *connection) startEmbedded(ctx context.Context, e *embedded) (*backend, error) {
	c.parts.start("embedded redis", e.Run)
	b := c.connectOwn(c.url.masked, e.options(), 0)
	if c.starting != nil {
		c.starting()
	}
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
			c.log.Info("the embedded redis is still starting", "it_says", err)
		default:
		}
		if err := c.parts.pause(ctx, pause); err != nil {
			return nil, err
		}
	}
	return b, nil
}
