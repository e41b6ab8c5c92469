package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"sync"
	"syscall"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
)

// serve is the subcommand: it serves until ctx ends.
func serve(ctx context.Context, p *program) error { return start(ctx, p, nil) }

// sidecar is a running cloakroom.
type sidecar struct {
	c       *config
	p       *program
	log     *slog.Logger
	version string
	parts   *parts
	metrics *prometheus.Registry
	ready   *readiness
	// breakers keep calls from waiting for a Redis that is away.
	breakers *breaker.Breakers
	trips    *redisMetrics
	admin    net.Listener
	http     net.Listener
	verify   net.Listener // nil if there is none
}

// start runs serve and dev: it reads the configuration, starts the parts one
// after the other, calls then (if there is one) when requests are served, waits
// until ctx ends or a part fails, and stops the parts in reverse.
func start(ctx context.Context, p *program, then func(context.Context, *sidecar, *cache.Store) error) error {
	c, err := p.load(ctx)
	if errors.Is(err, pflag.ErrHelp) {
		return printFlags(p.stdout, p.name)
	}
	if errors.Is(err, errInterrupted) {
		return nil
	}
	if c != nil && (err != nil || c.printConfig) { // there is no log yet
		for _, w := range c.warnings {
			_, _ = fmt.Fprintf(p.stderr, "cloakroom %s: warning: %s\n", p.name, w)
		}
	}
	if err != nil {
		return err
	}
	if c.printConfig {
		return c.print(p.stdout)
	}
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more must not end it
	s := &sidecar{
		c: c, p: p, parts: newParts(), metrics: newMetrics(), ready: newReadiness(),
	}
	var sampled *sampler
	s.log, sampled = newLogger(p.stderr, c.logLevel, c.logFormat)
	s.parts.start("log", sampled.Run)
	s.breakers = breaker.New(s.log)
	s.trips = newRedisMetrics(s.metrics)
	var commit string
	s.version, commit = build()
	registerBuild(s.metrics, s.version, commit)
	for _, w := range c.warnings {
		s.log.Warn(w)
	}

	failed := s.startParts(ctx, then)
	if failed == nil {
		failed = s.parts.wait(ctx)
	}
	s.ready.no("cloakroom is stopping")
	s.notify(notifyStopping)
	s.log.Info("stopping")
	if failed == nil {
		failed = s.linger()
	}
	if err := errors.Join(failed, s.parts.stop()); err != nil {
		s.log.Error("stopped after a failure", "error", err)
		return &loggedError{err}
	}
	s.log.Info("stopped")
	return nil
}

// startParts starts everything. If ctx ends meanwhile it returns nil.
func (s *sidecar) startParts(ctx context.Context, then func(context.Context, *sidecar, *cache.Store) error) error {
	var err error
	// The admin listener comes first, so that /readyz says what is missing.
	if s.admin, err = s.c.listen.openAdmin(ctx); err != nil {
		return err
	}
	s.startAdmin()
	s.log.Info("starting", "version", s.version, "admin", addressOf(s.admin), "redis", s.c.redisURL.masked)

	meanwhile := sync.OnceValue(s.refuseMeanwhile())
	defer meanwhile()
	b, err := s.startBackend(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if b.master != nil { // it is known before there is a store
		registerMaster(s.metrics, b.master)
	}
	may, err := newRights(b.client, s.c.redis.user(&s.c.redisURL), s.c.store.Prefix, needs(s.c), s.log)
	if err != nil {
		return err
	}
	store, err := s.openStore(ctx, b, may)
	if err != nil || store == nil {
		return err
	}
	s.parts.onStop("session store", store.Close)
	registerStore(s.metrics, store)
	registerBreakers(s.metrics, s.breakers)
	if b.master != nil {
		b.master.OnLoss(store.MasterLost)
	}
	s.parts.start("session store", store.Run)

	api, err := s.newAPI(store)
	if err != nil {
		return err
	}
	if err := meanwhile(); err != nil {
		return err
	}
	if s.http, s.verify, err = s.c.listen.openForRequests(ctx); err != nil {
		return err
	}
	s.startAPI(api, store)
	s.breakers.Arm()
	evicts := newEviction(b.client, s.log)
	evicts.look(ctx)
	evicts.register(s.metrics)
	s.parts.start("watch of the eviction policy", evicts.Run)
	may.look(ctx)
	may.register(s.metrics)
	s.parts.start("watch of the rights", may.Run)
	s.ready.yes(readyState{store: store, master: b.master, breakers: s.breakers, eviction: evicts, rights: may, files: s.c.filesState, own: s.c.redisURL.memory || s.c.redisURL.embedded})
	listening := []any{"http", addressOf(s.http), "admin", addressOf(s.admin)}
	if s.verify != nil {
		listening = append(listening, "verify", addressOf(s.verify))
	}
	s.log.Info("ready", append(listening, "redis", b.name, "shards", store.Shards(), "version", s.version)...)
	s.notify(notifyReady)
	if then != nil {
		return then(ctx, s, store)
	}
	return nil
}

func (s *sidecar) startAdmin() {
	a := httpapi.NewAdmin(httpapi.AdminConfig{
		Ready:   s.ready.check,
		Details: s.ready.details,
		Metrics: s.metrics,
		Pprof:   s.c.pprof || loopback(s.c.listen.admin),
		Logger:  s.log,
	})
	s.parts.start("admin listener", func(ctx context.Context) error {
		return a.Run(ctx, s.admin, s.c.afterwards())
	})
}

func (s *sidecar) newAPI(store *cache.Store) (*httpapi.Server, error) {
	c := s.c.api
	c.Store, c.Version, c.Logger, c.Metrics = store, s.version, s.log, s.metrics
	return httpapi.New(c)
}

func (s *sidecar) startAPI(api *httpapi.Server, store *cache.Store) {
	if s.c.apiKeys != nil {
		api.Callers.SetKeys(s.c.apiKeys.value())
		s.c.apiKeys.then = api.Callers.SetKeys
	}
	s.startIssuers(api, store)
	s.startTLS()
	run := func(ctx context.Context) error {
		return api.Run(ctx, secured(s.http, s.c.httpTLS), s.c.drainTime())
	}
	var runVerify func(context.Context) error
	if s.verify != nil {
		runVerify = func(ctx context.Context) error {
			return api.RunVerify(ctx, secured(s.verify, s.c.verifyTLS), s.c.drainTime())
		}
	}
	s.startListeners(run, runVerify)
	s.startReloads()
}

// loggedError is a failure that is in the log already, as its last line.
type loggedError struct{ error }

// Unwrap returns the failure.
func (e *loggedError) Unwrap() error { return e.error }
