package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
)

const auditHelp = `Usage: cloakroom audit --redis-url URL [flags]

Looks at all that is stored: every session, card, entry and note of a write
across shards, both ways, and reports what does not fit together (drift), by
kind. It runs beside live sidecars and changes nothing unless asked to.

  --repair  mend it: add what is missing, remove what is left over, set TTLs and
            scores that are wrong. What can not be read is reported, and stays
  --rate    how many elements it looks at in a second; a session has about
            six; default 10000, which takes about 6% of a Redis; 0 = as fast
            as it goes
  --json    print one JSON object, for machines

The settings of serve that say where the sessions are count, from flags,
environment and --config: above all --redis-url, --redis-key-prefix and
--redis-shards. An embedded: Redis can be audited while no cloakroom runs on it.

Exit code: 0 there is no drift, or all of it was repaired; 1 there is some left,
it is not known yet, or it failed or was interrupted; 2 it was called wrongly.
`

const (
	// auditStart is how long an embedded server may take to start.
	auditStart = 30 * time.Second
	// auditRetries is how often an audit's client repeats a command: none of them
	// does harm when it is done twice.
	auditRetries = 3
	// auditExamples is how many findings of each kind are kept to be shown.
	auditExamples = 5
)

// auditFlags are what audit has besides the settings of serve.
type auditFlags struct {
	repair, json bool
	rate         int
}

func (f *auditFlags) settings() []setting {
	return []setting{
		own("repair", "false", boolean(&f.repair), "mend what can be mended"),
		own("rate", "10000", number(&f.rate, 0, 10_000_000), "elements in a second; 0 has no limit"),
		own("json", "false", boolean(&f.json), "print JSON"),
	}
}

// auditCommand is the subcommand.
func auditCommand(ctx context.Context, p *program) error {
	var f auditFlags
	c, err := p.load(ctx, f.settings()...)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.stdout, auditHelp)
		return err
	}
	if err != nil {
		return err
	}
	if c.redisURL.memory || c.redisURL.embedded && c.redisURL.dir == "" {
		return &usageError{faults: []string{"--redis-url " + c.redisURL.masked + " has no sessions before a cloakroom runs, and nobody else can look at it then"}}
	}
	for _, w := range c.warnings {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom audit: warning: %s\n", w)
	}
	if o := c.redisURL.options; o != nil {
		o.ClientName, o.MaxRetries = "cloakroom-audit", auditRetries
	}
	s := &sidecar{c: c, p: p, log: slog.New(slog.DiscardHandler), parts: newParts(), ready: newReadiness()}
	s.breakers = breaker.New(s.log)
	return errors.Join(s.audit(ctx, &f), s.parts.stop())
}

// audit opens the store, audits and prints.
func (s *sidecar) audit(ctx context.Context, f *auditFlags) error {
	startCtx, cancel := context.WithTimeout(ctx, auditStart)
	defer cancel()
	b, err := s.startBackend(startCtx)
	if err != nil {
		return err
	}
	space, err := keys.NewSpace(s.c.store.Prefix, 1)
	if err != nil {
		return err
	}
	if err := cache.CheckKind(startCtx, b.client, s.c.store.Prefix); err != nil && !errors.Is(err, session.ErrUnavailable) {
		return s.c.redisURL.misfit(err)
	}
	// Opening a store records the number of shards where none is recorded.
	if err := b.client.Get(startCtx, space.Meta()).Err(); errors.Is(err, redis.Nil) {
		return fmt.Errorf("there is no store under the key prefix %q", s.c.store.Prefix)
	} else if err != nil {
		return fmt.Errorf("redis does not answer: %w", err)
	}
	store, err := s.tryOpen(ctx, b)
	if err != nil {
		return err
	}
	s.parts.onStop("session store", store.Close)

	bar := newAuditBar(s.p.stderr)
	r := &auditResult{Redis: s.c.redisURL.masked, Prefix: s.c.store.Prefix, Shards: store.Shards(), Repair: f.repair, examples: make(map[audit.Drift][]auditExample)}
	began := time.Now()
	report, err := store.Audit(ctx, cache.AuditConfig{Repair: f.repair, Rate: f.rate, Found: r.found, Progress: bar.show})
	bar.stop()
	r.took = time.Since(began)
	r.fill(report)
	if printErr := r.print(s.p.stdout, f.json); printErr != nil {
		return printErr
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted; what it had done until then is above")
	case err != nil:
		return err
	case report.Clean():
		return nil
	case report.Unsettled > 0:
		return errors.New("not all is known: many sessions have ended and are being cleared; audit again later")
	case f.repair:
		return errors.New("not all drift was repaired; audit again, or look at what is left")
	}
	return errors.New("there is drift; --repair mends what can be mended")
}
