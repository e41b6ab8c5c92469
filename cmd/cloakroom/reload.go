package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
)

// startReloads follows the files with API keys, issuers, keys of assertions, credentials for ZITADEL, keys of its events and
// certificates. They are also read whenever SIGHUP comes.
func (s *sidecar) startReloads() {
	all := s.c.Followed()
	for _, r := range all {
		r.LogTo(s.log)
		r.Register(s.metrics)
	}
	s.parts.Start("reload of the files", func(ctx context.Context) error {
		return parts.Again(ctx, s.p.lookEvery, func(context.Context) {
			for _, r := range all {
				r.Look(false)
			}
		})
	})
	s.parts.Start("reload at SIGHUP", func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-s.p.hangup:
			}
			if len(all) == 0 {
				s.log.Warn("SIGHUP: there is nothing to reload: no --auth-keys-file, no --auth-issuers-file, no --assertion-key-file, no --upstream-token-file, no --upstream-event-key-file, and no certificate of a listener")
			}
			for _, r := range all {
				r.Look(true)
			}
		}
	})
}

// filesState says for /readyz?verbose how the files are, and whether all of them are in use as they are.
func (s *sidecar) filesState() (says string, good bool) {
	var faults []string
	for _, r := range s.c.Followed() {
		if fault := r.State(); fault != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) == 0 {
		return "in use as they are", true
	}
	return strings.Join(faults, "; "), false
}

// load reads the configuration of the subcommand, with settings that only this one has.
func (p *program) load(ctx context.Context, own ...config.Setting) (*config.Config, error) {
	return config.Load(ctx, config.Source{Subcommand: p.name, Args: p.args, Env: p.env, Pipes: p.pipes(ctx)}, own...)
}

// pipes lets the files of a subcommand be pipes, and says that it waits for one.
func (p *program) pipes(ctx context.Context) followed.Pipes {
	return followed.Anything(ctx, func(file string) {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom %s: waiting for what is written to %s, which is no regular file\n", p.name, file)
	})
}

// startIssuers lets api take tokens of the issuers, if there are any, and
// follows their keys.
func (s *sidecar) startIssuers(api *httpapi.Server, store *cache.Store) {
	if s.c.Issuers == nil {
		return
	}
	v := oidc.New(oidc.Config{Clock: func() time.Time { return store.Now().Std() }, Claims: s.c.API.Verify.Claims, Logger: s.log})
	v.Set(s.c.Issuers.Value())
	s.c.Issuers.Then = v.Set
	store.SetEndsFor(v.EndsFor)
	api.Callers.SetIssuers(v)
	s.parts.Start("issuers", v.Run)
}

// startTLS warns of certificates that end.
func (s *sidecar) startTLS() {
	for _, c := range s.c.Certificates() {
		c.RegisterTLS(s.metrics)
		s.parts.Start("certificate of the "+c.Listener+" listener", c.Run)
	}
}

// secured lets ln speak TLS, if c is not nil.
func secured(ln net.Listener, c *followed.Certificate) net.Listener {
	if c == nil {
		return ln
	}
	return &server.TLSListener{Listener: ln, Config: c.Config(), Failed: c.Failed.Inc}
}
