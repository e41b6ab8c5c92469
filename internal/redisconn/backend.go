// Package redisconn gets from a Redis URL to clients that are ready, of a Redis, Sentinels or
// a Cluster, or of a server of its own.
package redisconn

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
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

// Backend is where the sessions are. The parts of its Connection close its clients.
type Backend struct {
	Name        string // for people; no password
	ClientName  string // of its connections, for CLIENT LIST
	Client      redis.UniversalClient
	Searches    redis.UniversalClient // for searches, so that the others never wait for a connection
	Costly      redis.UniversalClient // for costly searches
	Replicas    redis.UniversalClient // for costly searches that may lag; nil if none may
	MaxSessions int                   // 0 has no limit
	// Master is what Client, Searches and Costly stay with; nil on a Cluster, and
	// where the server is ours.
	Master *endpoint.Endpoint
}

// Connection is how to get from a Redis URL to clients. Only Watch and Starting may be nil.
type Connection struct {
	URL *URL
	// Access is how to get in at a Redis that is not ours.
	Access *Access
	// Staleness is for how long a proof of the master holds.
	Staleness time.Duration
	// FallBack takes memory where there is no server to embed, if that would have lost the
	// sessions at the end as well.
	FallBack bool
	// Env has the PATH that a server to embed is looked for on.
	Env []string
	// Breakers stand before the calls to each server.
	Breakers *breaker.Breakers
	// Watch sees each client; nil does not.
	Watch func(*redis.Client) *redis.Client
	// Parts runs what the clients need, and closes them.
	Parts *parts.Parts
	// Starting is told that an embedded server is being waited for; nil is not.
	Starting func()
	Log      *slog.Logger
}

// Connect starts what the URL asks for. It waits until a server of its own answers, or ctx
// ends; others are connected to when they are used. What it started is among c.Parts, also
// if it fails.
func Connect(ctx context.Context, c *Connection) (*Backend, error) {
	u := c.URL
	switch {
	case u.Memory:
		return c.startMemory()
	case u.Embedded:
		e, err := newEmbedded(ctx, u.Dir, c.Env, c.Log)
		if errors.Is(err, errNoRedis) && c.FallBack && u.Dir == "" {
			c.Log.Warn("falling back to memory:", "because", err)
			return c.startMemory()
		}
		if err != nil {
			return nil, err
		}
		return c.startEmbedded(ctx, e)
	}
	return c.connectURL()
}

func (c *Connection) startMemory() (*Backend, error) {
	m, err := newMemory()
	if err != nil {
		return nil, err
	}
	c.Log.Warn("memory: is for trying out only: sessions are gone at exit", "most_sessions", MemorySessions)
	c.Parts.Start("memory", m.Run)
	return c.connectOwn("memory:", m.options(), MemorySessions), nil
}

// startEmbedded starts the server and waits until it answers PING: at once if
// it is new, after loading if it has a file of sessions.
func (c *Connection) startEmbedded(ctx context.Context, e *embedded) (*Backend, error) {
	c.Parts.Start("embedded redis", e.Run)
	b := c.connectOwn(c.URL.Masked, e.options(), 0)
	if c.Starting != nil {
		c.Starting()
	}
	notice := time.NewTicker(loadingNotice)
	defer notice.Stop()
	for pause := firstPing; ctx.Err() == nil; pause = min(2*pause, lastPing) {
		err := b.Client.Ping(ctx).Err()
		if err == nil {
			e.output.warn(true)
			break
		}
		select {
		case <-notice.C:
			c.Log.Info("the embedded redis is still starting", "it_says", err)
		default:
		}
		if err := c.Parts.Pause(ctx, pause); err != nil {
			return nil, err
		}
	}
	return b, nil
}
