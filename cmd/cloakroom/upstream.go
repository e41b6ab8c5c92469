package main

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
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/metrics"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
)

const upstreamHelp = `Usage: cloakroom upstream status --redis-url URL --upstream-url URL [flags]

Says how the copies of ZITADEL's sessions do: how many are stored, up to when
ZITADEL's events are known and which process searches for them, and whether
ZITADEL answers us, as doctor does. It changes nothing.

  --json    print one JSON object, for machines

All settings of serve count, from flags, environment and --config: above all
--redis-url, --redis-key-prefix, --upstream-url and --upstream-token-file.

Exit code: 0 all is well, or there are only warnings; 1 something is wrong;
2 it was called wrongly.
`

// startUpstream makes the client of the ZITADEL whose sessions are cached, if there is one.
func (s *sidecar) startUpstream() error {
	if s.c.Upstream == nil {
		return nil
	}
	c := s.c.Upstream.Client
	c.Logger, c.Metrics = s.log, s.metrics
	client, err := upstream.New(c)
	if err != nil {
		return err
	}
	s.upstream = client
	s.parts.OnStop("client of zitadel", func() error { client.Close(); return nil })
	s.c.Upstream.Credentials.Then = client.SetCredentials
	if s.c.Upstream.RootCAs != nil {
		s.c.Upstream.RootCAs.Then = client.SetRootCAs
	}
	return nil
}

// startNews follows what happens at the ZITADEL, if there is one.
func (s *sidecar) startNews(store *cache.Store) {
	if s.upstream == nil {
		return
	}
	s.news = news.New(news.Config{
		Store: store, Search: s.upstream.Events, Every: s.c.Upstream.Poll, MaxAgeProven: s.c.Upstream.MaxAgeProven, Logger: s.log, Metrics: s.metrics,
	})
	s.parts.Start("news of zitadel", s.news.Run)
}

// examineZITADEL has the doctor look at the ZITADEL, if there is one.
func examineZITADEL(ctx context.Context, c *config.Config, tell func(doctor.Finding)) error {
	u := c.Upstream
	if u == nil {
		return nil
	}
	return doctor.ExamineZITADEL(ctx, doctor.ZITADEL{
		Config: u.Client, MaxAge: u.MaxAge, Poll: u.Poll, VerifyTimeout: c.API.Verify.UpstreamTimeout,
	}, tell)
}

// upstreamState returns what says how the ZITADEL and its news do, nil without one. It asks nobody.
func (s *sidecar) upstreamState() func() string {
	if s.upstream == nil {
		return nil
	}
	return func() string {
		return "zitadel: " + s.upstream.State().Text(time.Now()) + "\nnews: " + s.news.Text(s.c.Upstream.MaxAge) + "\n"
	}
}

// upstreamCommand is the subcommand.
func upstreamCommand(ctx context.Context, p *program) error {
	switch {
	case asksHelp(p.args):
		_, err := io.WriteString(p.stdout, upstreamHelp)
		return err
	case len(p.args) == 0 || p.args[0] != "status":
		return &usage.Error{Faults: []string{"takes one word: status"}}
	}
	p.args = p.args[1:]
	asJSON := false
	c, err := p.load(ctx, config.Own("json", "false", config.Boolean(&asJSON), "print JSON"))
	switch {
	case errors.Is(err, pflag.ErrHelp):
		_, err = io.WriteString(p.stdout, upstreamHelp)
		return err
	case err != nil:
		return err
	case c.Upstream == nil:
		return &usage.Error{Faults: []string{"--upstream-url is required"}}
	case c.RedisURL.Memory || c.RedisURL.Embedded:
		return &usage.Error{Faults: []string{"--redis-url " + c.RedisURL.Masked + ": nobody but its own cloakroom can look at it; /readyz?verbose of that says how ZITADEL and its news do"}}
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom upstream: warning: %s\n", w)
	}
	r, out := &report{Redis: c.RedisURL.Masked, Prefix: c.Store.Prefix}, p.chart(asJSON)
	tell := r.teller(out)
	out.printf("%s, key prefix %s\n", r.Redis, r.Prefix)
	doctor.ExamineCopies(ctx, doctor.Copies{
		Status: func(ctx context.Context) (*cache.UpstreamStatus, error) { return upstreamStatus(ctx, p, c) },
		MaxAge: c.Upstream.MaxAge, MaxAgeProven: c.Upstream.MaxAgeProven, Poll: c.Upstream.Poll,
	}, tell)
	if err := examineZITADEL(ctx, c, tell); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	out.printf("\n%s\n", r.summary())
	return r.end(p, out, asJSON)
}

// upstreamStatus reads what Redis has of the copies.
func upstreamStatus(ctx context.Context, p *program, c *config.Config) (_ *cache.UpstreamStatus, err error) {
	if o := c.RedisURL.Options; o != nil && o.ClientName == redisconn.ClientName { // CLIENT LIST is to tell us from serve
		o.ClientName = redisconn.ClientName + "-upstream"
	}
	s := &sidecar{c: c, p: p, log: slog.New(slog.DiscardHandler), parts: parts.New(), ready: readiness.New(), metrics: metrics.NewRegistry()}
	s.breakers = breaker.New(s.log)
	defer func() { err = errors.Join(err, s.parts.Stop()) }()
	b, err := s.startBackend(ctx)
	if err != nil {
		return nil, err
	}
	space, err := keys.NewSpace(c.Store.Prefix, 1)
	if err != nil {
		return nil, err
	}
	// Opening a store records the number of shards where none is recorded.
	if err := b.Client.Get(ctx, space.Meta()).Err(); errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("there is no store under the key prefix %q", c.Store.Prefix)
	} else if err != nil {
		return nil, err
	}
	if err := s.startUpstream(); err != nil {
		return nil, err
	}
	store, err := s.tryOpen(ctx, b)
	if err != nil {
		return nil, err
	}
	s.parts.OnStop("session store", store.Close)
	return store.UpstreamStatus(ctx)
}
