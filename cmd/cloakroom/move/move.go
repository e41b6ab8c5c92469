// Package move is the subcommands export and import: files, standard streams, progress and what is printed. What is
// moved, and how, is in cache/transfer.
package move

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// Program is what a subcommand gets.
type Program struct {
	// Load reads the settings of serve, and those of the subcommand.
	Load           func(ctx context.Context, own ...config.Setting) (*config.Config, error)
	Name           string
	Env            []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

const (
	// startWithin is how long an embedded server may take to start.
	startWithin = 30 * time.Second
	// retries is how often a client repeats a command that only reads.
	retries = 3
)

// connected is a Redis that answers.
type connected struct {
	*redisconn.Backend
	c     *config.Config
	parts *parts.Parts
	log   *slog.Logger
}

// connect gets to the Redis of the settings. The parts are stopped by the caller, also if it fails.
func (p *Program) connect(ctx context.Context, c *config.Config, retries int) (*connected, error) {
	r := &connected{c: c, parts: parts.New(), log: slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if c.RedisURL.Memory || c.RedisURL.Embedded && c.RedisURL.Dir == "" {
		return r, &usage.Error{Faults: []string{"--redis-url " + c.RedisURL.Masked + " has no sessions before a cloakroom runs, and none after it has ended"}}
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(p.Stderr, "cloakroom %s: warning: %s\n", p.Name, w)
	}
	if o := c.RedisURL.Options; o != nil {
		o.ClientName, o.MaxRetries = "cloakroom-"+p.Name, retries
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	var err error
	r.Backend, err = redisconn.Connect(ctx, &redisconn.Connection{
		URL: &c.RedisURL, Access: &c.Redis, Staleness: c.Store.NearStaleness, Env: p.Env,
		Breakers: breaker.New(r.log), Parts: r.parts, Log: r.log,
	})
	if err != nil {
		return r, err
	}
	// What CheckKind cannot ask, the first command finds out.
	if err := cache.CheckKind(ctx, r.Client, c.Store.Prefix); err != nil && !errors.Is(err, session.ErrUnavailable) {
		return r, c.RedisURL.Misfit(err)
	}
	return r, nil
}
