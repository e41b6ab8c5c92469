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
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
)

const auditHelp = `Usage: cloakroom audit --redis-url URL [flags]

Looks at all that is stored: every session, card, entry and note of a write
across shards, both ways, and reports what does not fit together (drift), by
kind. It runs beside live sidecars and changes nothing unless asked to.

  --repair  mend it: add what is missing, remove what is left over, set TTLs and
            scores that are wrong. What cannot be read is reported, and stays
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

// auditFlags are what audit has in addition to the settings of serve.
type auditFlags struct {
	repair, json bool
	rate         int
}

func (f *auditFlags) settings() []config.Setting {
	return []config.Setting{
		config.Own("repair", "false", config.Boolean(&f.repair), "mend what can be mended"),
		config.Own("rate", "10000", config.Number(&f.rate, 0, 10_000_000), "elements in a second; 0 has no limit"),
		config.Own("json", "false", config.Boolean(&f.json), "print JSON"),
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
	if c.RedisURL.Memory || c.RedisURL.Embedded && c.RedisURL.Dir == "" {
		return &usage.Error{Faults: []string{"--redis-url " + c.RedisURL.Masked + " has no sessions before a cloakroom runs, and nobody else can look at it then"}}
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom audit: warning: %s\n", w)
	}
	if o := c.RedisURL.Options; o != nil {
		o.ClientName, o.MaxRetries = "cloakroom-audit", auditRetries
	}
	s := &sidecar{c: c, p: p, log: slog.New(slog.DiscardHandler), parts: parts.New(), ready: readiness.New()}
	s.breakers = breaker.New(s.log)
	return errors.Join(s.audit(ctx, &f), s.parts.Stop())
}

// audit opens the store, audits and prints.
func (s *sidecar) audit(ctx context.Context, f *auditFlags) error {
	startCtx, cancel := context.WithTimeout(ctx, auditStart)
	defer cancel()
	b, err := s.startBackend(startCtx)
	if err != nil {
		return err
	}
	space, err := keys.NewSpace(s.c.Store.Prefix, 1)
	if err != nil {
		return err
	}
	if err := cache.CheckKind(startCtx, b.Client, s.c.Store.Prefix); err != nil && !errors.Is(err, session.ErrUnavailable) {
		return s.c.RedisURL.Misfit(err)
	}
	// Opening a store records the number of shards where none is recorded.
	if err := b.Client.Get(startCtx, space.Meta()).Err(); errors.Is(err, redis.Nil) {
		return fmt.Errorf("there is no store under the key prefix %q", s.c.Store.Prefix)
	} else if err != nil {
		return fmt.Errorf("redis does not answer: %w", err)
	}
	store, err := s.tryOpen(ctx, b)
	if err != nil {
		return err
	}
	s.parts.OnStop("session store", store.Close)

	bar := terminal.NewBar(s.p.stderr, "auditing")
	r := &auditResult{Redis: s.c.RedisURL.Masked, Prefix: s.c.Store.Prefix, Shards: store.Shards(), Repair: f.repair, examples: make(map[audit.Drift][]auditExample)}
	began := time.Now()
	report, err := store.Audit(ctx, cache.AuditConfig{Repair: f.repair, Rate: f.rate, Found: r.found, Progress: func(r *audit.Report, expected uint64) {
		bar.Show(r.Looked(), expected, func() string {
			return fmt.Sprintf("looked at %d of about %d sessions, cards, entries and notes; %s so far", r.Looked(), expected, plural(drifts(r), "drift"))
		})
	}})
	bar.Stop()
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
