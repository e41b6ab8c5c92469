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
	s, err := oidc.Load(c.issuersFile)
	if err != nil {
		wrong.addf("--auth-issuers-file: %v", err)
		return
	}
	c.issuers = s
}

// startIssuers lets api take tokens of the issuers, and follows their keys. Nil
// means that there are none.
func (s *sidecar) startIssuers(api *httpapi.Server, store *cache.Store) *oidc.Verifier {
	if s.c.issuersFile == "" {
		return nil
	}
	v := oidc.New(oidc.Config{Clock: func() time.Time { return store.Now().Std() }, Logger: s.log})
	v.Set(s.c.issuers)
	api.SetIssuers(v)
	s.parts.start("issuers", v.Run)
	return v
}

func (s *sidecar) reloadIssuers(v *oidc.Verifier) {
	settings, err := oidc.Load(s.c.issuersFile)
	if err != nil {
		s.log.Error("SIGHUP: the issuers were not reloaded, the old ones stay", "error", err)
		return
	}
	v.Set(settings)
	s.log.Info("SIGHUP: issuers reloaded", "issuers", settings.Len())
}
