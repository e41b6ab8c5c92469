package main

import (
	"context"
	"os"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/console"
	"github.com/cloakroom-dev/cloakroom/httpapi/console/live"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
)

// newConsole makes the console, if it is on. It serves its page from now on.
func (s *sidecar) newConsole() {
	if !s.c.Console {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	bound := s.c.Store.NearStaleness
	if s.c.Store.NearBytes == 0 {
		bound = 0
	}
	about := console.About{
		Version: s.version, Process: host, ZITADEL: s.c.Upstream != nil, StalenessSeconds: bound.Seconds(),
		Replicas: s.c.Store.RevokeWaitReplicas, Policies: s.c.API.Verify.Asked(),
	}
	watched := live.New(live.Config{
		Gatherer: s.metrics, Health: s.ready.Health, Lasts: httpapi.Lasts, Bound: bound, Logger: s.log,
		Store: func() live.Store {
			if store := s.ready.Store(); store != nil {
				return store
			}
			return nil // and not an interface that has none
		},
	})
	s.console = console.New(console.Config{
		Ready: s.ready.Check, Live: watched, Anonymous: s.c.API.Anonymous, About: about, TrustedProxies: s.c.API.TrustedProxies, Logger: s.log,
	})
}

// consoleOf lets the console answer by api; nil if it is off.
func (s *sidecar) consoleOf(api *httpapi.Server) func(context.Context) error {
	if s.console == nil {
		return nil
	}
	return func(ctx context.Context) error { return s.console.Run(ctx, api, s.c.DrainTime()) }
}

// consoleURL is where a browser finds the console.
func (s *sidecar) consoleURL() string {
	addr := listen.AddressOf(s.admin)
	if strings.HasPrefix(addr, "unix:") {
		return "http://localhost/console/ at " + addr
	}
	return "http://" + addr + "/console/"
}
