package main

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// startIssuers lets api take tokens of the issuers, if there are any, and
// follows their keys.
func (s *sidecar) startIssuers(api *httpapi.Server, store *cache.Store) {
	if s.c.Issuers == nil {
		return
	}
	v := oidc.New(oidc.Config{Clock: func() time.Time { return store.Now().Std() }, Logger: s.log})
	v.Set(s.c.Issuers.Value())
	s.c.Issuers.Then = v.Set
	api.Callers.SetIssuers(v)
	s.parts.Start("issuers", v.Run)
}
