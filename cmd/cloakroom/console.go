package main

import (
	"context"
	"os"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/console"
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
	about := console.About{
		Version: s.version, Process: host, ZITADEL: s.c.Upstream != nil, Replicas: s.c.Store.RevokeWaitReplicas,
		Policies: s.c.API.Verify.Asked(),
	}
	if s.c.Store.NearBytes > 0 {
		about.StalenessSeconds = s.c.Store.NearStaleness.Seconds()
	}
	s.console = console.New(console.Config{
		Ready: s.ready.Check, Anonymous: s.c.API.Anonymous, About: about, TrustedProxies: s.c.API.TrustedProxies, Logger: s.log,
	})
}

// startConsole lets the console answer by api.
func (s *sidecar) startConsole(api *httpapi.Server) {
	if s.console != nil {
		s.parts.Start("console", func(ctx context.Context) error { return s.console.Run(ctx, api) })
	}
}

// consoleURL is where a browser finds the console.
func (s *sidecar) consoleURL() string {
	addr := listen.AddressOf(s.admin)
	if strings.HasPrefix(addr, "unix:") {
		return "http://localhost/console/ at " + addr
	}
	return "http://" + addr + "/console/"
}
