package main

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// checkIssuers reads the issuers.
func checkIssuers(c *config, wrong *faults) {
	if !c.good("auth-issuers-file") || c.issuersFile == "" {
		return
	}
	file := c.issuersFile
	r := &reloaded[*oidc.Settings]{
		setting: "auth-issuers-file",
		parse:   func(read func(string) ([]byte, error)) (*oidc.Settings, error) { return oidc.Load(file, read) },
		done:    "issuers reloaded", kept: "the issuers were not reloaded, the old ones stay",
		says: func(s *oidc.Settings) []any { return []any{"issuers", s.Len()} },
	}
	if err := r.open(c.pipes); err != nil {
		wrong.addf("--auth-issuers-file: %v", err)
		return
	}
	c.issuers = r
}

// startIssuers lets api take tokens of the issuers, if there are any, and
// follows their keys.
func (s *sidecar) startIssuers(api *httpapi.Server, store *cache.Store) {
	if s.c.issuers == nil {
		return
	}
	v := oidc.New(oidc.Config{Clock: func() time.Time { return store.Now().Std() }, Logger: s.log})
	v.Set(s.c.issuers.value())
	s.c.issuers.then = v.Set
	api.Callers.SetIssuers(v)
	s.parts.start("issuers", v.Run)
}
