package httpapi

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// issuersFile has roles as ZITADEL names them, with organizations, and an
// audience and claims for logout.
const issuersFile = `
issuers:
  - name: test
    issuer: ISSUER
    audience: [cloakroom]
    claims: {agent: agent, permissions: roles, organizations: orgs}
    permissions:
      admin: {instance: [session.read, session.write, session.delete]}
      support: {organizations: [session.read, session.delete]}
    introspection: {url: ISSUER/introspect, client_id: "cloak:room", client_secret_file: SECRET}
    logout: {audience: [gateway], user: sub, session: sid}
`

// trust lets the fixture's server take tokens of a new issuer.
func (f *fixture) trust(file string) *oidctest.Issuer {
	f.t.Helper()
	issuer := oidctest.Start(f.t)
	f.follow(f.server, f.issuers(issuer, file))
	return issuer
}

// issuers returns a Verifier of the file's issuers.
func (f *fixture) issuers(issuer *oidctest.Issuer, file string) *oidc.Verifier {
	f.t.Helper()
	dir := f.t.TempDir()
	secret, name := filepath.Join(dir, "secret"), filepath.Join(dir, "issuers.yaml")
	text := strings.NewReplacer("ISSUER", issuer.URL, "SECRET", secret).Replace(file)
	for name, text := range map[string]string{secret: oidctest.ClientSecret, name: text} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	settings, err := oidc.Load(name)
	if err != nil {
		f.t.Fatal(err)
	}
	v := oidc.New(oidc.Config{Clock: func() time.Time { return f.now().Std() }, Logger: f.server.log})
	v.Set(settings)
	return v
}

// follow runs v for s until the test ends, after the server has.
func (f *fixture) follow(s *Server, v *oidc.Verifier) {
	s.SetIssuers(v)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	f.t.Cleanup(func() {
		s.SetIssuers(nil)
		stop()
		if err := <-ended; err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
}

// claims are those of a good access token of alice.
func (f *fixture) claims(issuer *oidctest.Issuer, changes map[string]any) map[string]any {
	now := f.now().Std().Unix()
	c := map[string]any{"iss": issuer.URL, "aud": "cloakroom", "sub": "alice", "iat": now, "exp": now + 3600}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// An access token is a caller like an API key: its user, its user agent, its
// permissions, for the instance or for organizations.
func TestAccessTokens(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		issuer := f.trust(issuersFile)
		for id := range permissionSessions {
			f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id, permissionSessions[id])
		}
		zitadel := func(role string, orgs ...string) map[string]any {
			in := map[string]any{}
			for _, o := range orgs {
				in[o] = o + ".example"
			}
			return map[string]any{role: in}
		}
		for _, c := range []struct {
			name   string
			claims map[string]any
			reads  string
			writes bool
		}{
			{"an admin", map[string]any{"sub": "x", "roles": []string{"admin"}}, "alices, bobs, empty, orgless", true},
			{"an admin by a text", map[string]any{"sub": "x", "roles": "openid admin"}, "alices, bobs, empty, orgless", true},
			{"support of one organization", map[string]any{"sub": "x", "roles": zitadel("support", "org-1")}, "alices", false},
			{"support of two", map[string]any{"sub": "x", "roles": zitadel("support", "org-1", "org-2")}, "alices, bobs", false},
			{"admin in an organization only", map[string]any{"sub": "x", "roles": zitadel("admin", "org-2")}, "bobs", false},
			{"support by another claim", map[string]any{"sub": "x", "roles": []string{"support"}, "orgs": []string{"org-2"}}, "bobs", false},
			{"support of nothing", map[string]any{"sub": "x", "roles": []string{"support"}}, "", false},
			{"a user", map[string]any{"sub": "alice"}, "alices", false},
			{"a user agent", map[string]any{"sub": "x", "agent": "fp-alice"}, "alices", false},
			{"the creator", map[string]any{"sub": "svc-nobody"}, "bobs", false},
		} {
			opaque := "opaque-" + strings.ReplaceAll(c.name, " ", "-")
			answer := f.claims(issuer, c.claims)
			answer["active"] = true
			issuer.Opaque(opaque, answer)
			for _, token := range []string{issuer.Sign(f.claims(issuer, c.claims)), opaque} {
				for id := range permissionSessions {
					want := http.StatusForbidden
					if mayBe(c.reads, id) {
						want = http.StatusOK
					}
					f.want(want, token, "GET", "/v2/sessions/"+id, "")
				}
				want := http.StatusForbidden
				if c.writes {
					want = http.StatusCreated
				}
				f.want(want, token, "POST", "/v2/sessions", `{}`)
			}
		}
		if log := f.logs.String(); strings.Contains(log, "eyJ") || strings.Contains(log, "opaque-") || !strings.Contains(log, `caller="issuer test"`) {
			t.Errorf("I6: the log has a token, or not the caller:\n%s", log)
		}
	})
}
