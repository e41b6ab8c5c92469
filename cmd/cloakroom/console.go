package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/console"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
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
		Policies: policiesOf(&s.c.API.Verify),
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

// policiesOf says what each policy of verify asks for, in the order of their names.
func policiesOf(c *verify.Config) []console.Policy {
	all := []console.Policy{}
	for name, p := range c.Policies {
		var asks []string
		if p.Factors != 0 {
			asks = append(asks, "factors "+strings.Join(slices.Collect(p.Factors.Names()), ", "))
		}
		if p.MaxAge > 0 {
			asks = append(asks, "max_age "+p.MaxAge.String())
		}
		if len(p.Organizations) > 0 {
			asks = append(asks, "organizations "+strings.Join(p.Organizations, ", "))
		}
		all = append(all, console.Policy{Name: name, Asks: strings.Join(asks, "; "), Default: name == c.Default})
	}
	slices.SortFunc(all, func(a, b console.Policy) int { return strings.Compare(a.Name, b.Name) })
	return all
}
