package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/admin"
	"github.com/cloakroom-dev/cloakroom/httpapi/console"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/logs"
	"github.com/cloakroom-dev/cloakroom/internal/metrics"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/rpc"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
)

// serve is the subcommand: it serves until ctx ends.
func serve(ctx context.Context, p *program) error { return start(ctx, p, nil) }

// sidecar is a running cloakroom.
type sidecar struct {
	c       *config.Config
	p       *program
	log     *slog.Logger
	version string
	parts   *parts.Parts
	metrics *prometheus.Registry
	ready   *readiness.Readiness
	// breakers keep calls from waiting for a Redis that is away.
	breakers *breaker.Breakers
	trips    *metrics.Redis
	admin    net.Listener
	console  *console.Console // nil unless it is on
	listens  listen.ForRequests
	upstream *upstream.Client // nil without one
	news     *news.Follower   // the same
}

// start runs serve and dev: it reads the configuration, starts the parts one
// after the other, calls then (if there is one) when requests are served, waits
// until ctx ends or a part fails, and stops the parts in reverse.
func start(ctx context.Context, p *program, then func(context.Context, *sidecar, *cache.Store) error) error {
	c, err := p.load(ctx)
	if errors.Is(err, pflag.ErrHelp) {
		return config.PrintHelp(p.stdout, p.name)
	}
	if errors.Is(err, followed.ErrInterrupted) {
		return nil
	}
	if c != nil && (err != nil || c.PrintConfig) { // there is no log yet
		for _, w := range c.Warnings {
			_, _ = fmt.Fprintf(p.stderr, "cloakroom %s: warning: %s\n", p.name, w)
		}
	}
	if err != nil {
		return err
	}
	if c.PrintConfig {
		return c.Print(p.stdout)
	}
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more must not end it
	s := &sidecar{
		c: c, p: p, parts: parts.New(), metrics: metrics.NewRegistry(), ready: readiness.New(),
	}
	var sampled *logs.Sampler
	s.log, sampled = logs.New(p.stderr, c.LogLevel, c.LogFormat)
	s.parts.Start("log", sampled.Run)
	s.breakers = breaker.New(s.log)
	s.trips = metrics.NewRedis(s.metrics)
	var commit string
	s.version, commit = build()
	metrics.RegisterBuild(s.metrics, s.version, commit)
	for _, w := range c.Warnings {
		s.log.Warn(w)
	}

	failed := s.startParts(ctx, then)
	if failed == nil {
		failed = s.parts.Wait(ctx)
	}
	s.ready.No("cloakroom is stopping")
	s.notify(notifyStopping)
	s.log.Info("stopping")
	if failed == nil {
		failed = s.serveOn()
	}
	if err := errors.Join(failed, s.parts.Stop()); err != nil {
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
	if s.admin, err = s.c.Listen.OpenAdmin(ctx); err != nil {
		return err
	}
	s.sayIfMoved("admin-addr", s.c.Listen.Admin, s.admin)
	s.newConsole()
	s.startAdmin()
	s.log.Info("starting", "version", s.version, "admin", listen.AddressOf(s.admin), "redis", s.c.RedisURL.Masked)

	meanwhile := sync.OnceValue(s.refuseMeanwhile())
	defer meanwhile()
	b, err := s.startBackend(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if b.Master != nil { // it is known before there is a store
		metrics.RegisterMaster(s.metrics, b.Master)
	}
	may, err := readiness.NewRights(b.Client, s.c.Redis.User(&s.c.RedisURL), s.c.Store.Prefix, func() acl.When { return needs(s.c) }, s.log)
	if err != nil {
		return err
	}
	if err := s.startUpstream(); err != nil {
		return err
	}
	store, err := s.openStore(ctx, b, may)
	if err != nil || store == nil {
		return err
	}
	s.parts.OnStop("session store", store.Close)
	metrics.RegisterStore(s.metrics, store)
	if s.upstream != nil {
		metrics.RegisterUpstream(s.metrics, store)
	}
	metrics.RegisterBreakers(s.metrics, s.breakers)
	if b.Master != nil {
		b.Master.OnLoss(store.MasterLost)
	}
	s.parts.Start("session store", store.Run)
	s.startNews(store)

	api, err := s.newAPI(store)
	if err != nil {
		return err
	}
	if err := meanwhile(); err != nil {
		return err
	}
	if s.listens, err = s.c.Listen.OpenForRequests(ctx); err != nil {
		return err
	}
	s.sayIfMoved("http-addr", s.c.Listen.HTTP, s.listens.HTTP)
	s.startAPI(api, store)
	s.breakers.Arm()
	evicts := readiness.NewEviction(b.Client, s.log)
	evicts.Look(ctx)
	evicts.Register(s.metrics)
	s.parts.Start("watch of the eviction policy", evicts.Run)
	may.Look(ctx)
	may.Register(s.metrics)
	s.parts.Start("watch of the rights", may.Run)
	s.ready.Yes(readiness.State{
		Store: store, Master: b.Master, Breakers: s.breakers, Eviction: evicts, Rights: may, Files: s.filesState, Own: s.c.RedisURL.Memory || s.c.RedisURL.Embedded,
		ZITADEL: s.zitadelState(),
	})
	listening := []any{"http", listen.AddressOf(s.listens.HTTP), "admin", listen.AddressOf(s.admin)}
	if s.listens.Verify != nil {
		listening = append(listening, "verify", listen.AddressOf(s.listens.Verify))
	}
	if s.listens.GRPC != nil {
		listening = append(listening, "grpc", listen.AddressOf(s.listens.GRPC))
	}
	if s.console != nil {
		listening = append(listening, "console", s.consoleURL())
	}
	s.log.Info("ready", append(listening, "redis", b.Name, "shards", store.Shards(), "version", s.version)...)
	s.notify(notifyReady)
	if then != nil {
		return then(ctx, s, store)
	}
	return nil
}

// sayIfMoved logs that a listener does not have the address of its setting.
func (s *sidecar) sayIfMoved(setting, addr string, ln net.Listener) {
	if slices.Contains(s.c.Listen.Movable, setting) && listen.AddressOf(ln) != addr {
		s.log.Warn("the port is taken: listening on the next free one", "setting", setting, "taken", addr, "instead", listen.AddressOf(ln))
	}
}

func (s *sidecar) startAdmin() {
	c := admin.Config{
		Ready:   s.ready.Check,
		Details: s.ready.Details,
		Metrics: s.metrics,
		Pprof:   s.c.Pprof || listen.Loopback(s.c.Listen.Admin),
		Logger:  s.log,
	}
	if s.console != nil {
		c.Console = s.console
	}
	a := admin.New(c)
	s.parts.Start("admin listener", func(ctx context.Context) error {
		return a.Run(ctx, s.admin, s.c.Afterwards())
	})
}

func (s *sidecar) newAPI(store *cache.Store) (*httpapi.Server, error) {
	c := s.c.API
	c.Store, c.Version, c.Logger, c.Metrics, c.Upstream = store, s.version, s.log, s.metrics, s.upstream
	if s.upstream != nil && s.c.Upstream.EventKeys != nil {
		c.Event, c.EventKeys = s.news.Sent, s.c.Upstream.EventKeys.Value
	}
	return httpapi.New(c)
}

func (s *sidecar) startAPI(api *httpapi.Server, store *cache.Store) {
	if s.c.APIKeys != nil {
		api.Callers.SetKeys(s.c.APIKeys.Value())
		s.c.APIKeys.Then = api.Callers.SetKeys
	}
	s.startIssuers(api, store)
	s.startTLS()
	run := func(ctx context.Context) error {
		return api.Run(ctx, secured(s.listens.HTTP, s.c.HTTPTLS), s.c.DrainTime())
	}
	var runVerify func(context.Context) error
	if s.listens.Verify != nil {
		runVerify = func(ctx context.Context) error {
			return api.RunVerify(ctx, secured(s.listens.Verify, s.c.VerifyTLS), s.c.DrainTime())
		}
	}
	var runGRPC func(context.Context) error
	if s.listens.GRPC != nil {
		runGRPC = func(ctx context.Context) error {
			base, cut := context.WithCancel(context.WithoutCancel(ctx)) // what is under way ends later
			defer cut()
			_, isUnix := s.listens.GRPC.Addr().(*net.UnixAddr)
			calls, check := api.Translated(base, !isUnix)
			return rpc.New(rpc.Config{
				Services: s.c.GRPCServices, API: calls, Verify: check, Ready: s.ready.Check, MaxBytes: s.c.API.MaxBodyBytes,
				MaxHeaderBytes: s.c.API.MaxHeaderBytes, Anonymous: s.c.API.Anonymous, Origins: s.c.API.CORSOrigins, Logger: s.log,
			}).Run(ctx, secured(s.listens.GRPC, s.c.GRPCTLS), s.c.DrainTime(), cut)
		}
	}
	s.startListeners(run, runVerify, runGRPC, s.consoleOf(api))
	s.startReloads()
}

// loggedError is a failure that is in the log already, as its last line.
type loggedError struct{ error }

// Unwrap returns the failure.
func (e *loggedError) Unwrap() error { return e.error }
