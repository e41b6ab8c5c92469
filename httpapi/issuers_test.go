package httpapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	settings, err := oidc.Load(name, os.ReadFile)
	if err != nil {
		f.t.Fatal(err)
	}
	v := oidc.New(oidc.Config{Clock: func() time.Time { return f.now().Std() }, Claims: f.server.config.Verify.Claims, Logger: f.server.log})
	v.Set(settings)
	return v
}

// follow runs v for s until the test ends, after the server has.
func (f *fixture) follow(s *Server, v *oidc.Verifier) {
	f.store.SetEndsFor(v.EndsFor)
	s.Callers.SetIssuers(v)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	f.t.Cleanup(func() {
		s.Callers.SetIssuers(nil)
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

// What is wrong with a token is 401; an issuer that is away is 503, and says
// nothing about the token. (I2)
func TestI2_AccessTokensThatAreNotGood(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	search := func(want int, token string) reply {
		t.Helper()
		return f.want(want, token, "POST", "/v2/sessions/search", `{}`)
	}
	admin := map[string]any{"roles": []string{"admin"}}
	search(http.StatusOK, issuer.Sign(f.claims(issuer, admin)))
	for _, claims := range []map[string]any{
		{"aud": "elsewhere"}, {"exp": f.now().Std().Unix() - 60}, {"sub": nil}, {"iss": "https://elsewhere.example"},
	} {
		r := search(http.StatusUnauthorized, issuer.Sign(f.claims(issuer, claims)))
		if !strings.Contains(r.body, "invalid token") || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("got %s, %v", r.body, r.header)
		}
	}
	search(http.StatusUnauthorized, oidctest.NewKey(t, "RS256").Sign(t, f.claims(issuer, admin)))
	search(http.StatusUnauthorized, "unknown-opaque")
	search(http.StatusUnauthorized, strings.Repeat("x", 9000))

	away := oidctest.Start(t)
	away.Stop()
	f.follow(f.server, f.issuers(away, issuersFile))
	for _, token := range []string{away.Sign(f.claims(away, admin)), "another-opaque"} {
		r := search(http.StatusServiceUnavailable, token)
		if !strings.Contains(r.body, `"code":14`) || !strings.Contains(r.body, "issuer") || r.header.Get("Retry-After") != "1" {
			t.Errorf("got %s, %v", r.body, r.header)
		}
	}
	search(http.StatusOK, "admin") // an API key needs no issuer
}

// A token that is a session's is the session's, be it opaque; a JWT of a
// configured issuer is the issuer's, whatever the store has; tokens of our own
// making are shown to nobody.
func TestTokensOfSessionsAndOfIssuers(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	foreign := func(id, token string) {
		t.Helper()
		body := `{"factors":{"user":{"id":"` + id + `"},"password":{}},"tokenSha256":"` + fmt.Sprintf("%x", sha256.Sum256([]byte(token))) + `"}`
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id, body)
	}
	sees := func(token string, want ...string) {
		t.Helper()
		got, _ := f.search(token, `{}`)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	jwt, strange := issuer.Sign(f.claims(issuer, nil)), issuer.Sign(f.claims(issuer, map[string]any{"iss": "https://elsewhere.example"}))
	foreign("opaque", "an-opaque-one")
	foreign("jwt", jwt)
	foreign("strange", strange)
	foreign("alice", "x")
	issuer.Opaque("an-opaque-one", map[string]any{"active": true, "sub": "alice"})
	sees("an-opaque-one", "opaque")
	sees(jwt, "alice")
	sees(strange, "strange")
	if n := issuer.Count(oidctest.IntrospectPath); n != 0 {
		t.Errorf("the issuer was shown %d tokens", n)
	}

	r := f.want(http.StatusCreated, "admin", "POST", "/v2/sessions", `{"checks":{"user":{"userId":"bob"}},"factors":{"password":{}}}`)
	own, id := newToken.FindStringSubmatch(r.body)[1], newID.FindStringSubmatch(r.body)[1]
	sees(own, id)
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+id, "")
	for _, token := range []string{own, own[:len(own)-1] + "_", f.secret["admin"] + "x"} {
		f.want(http.StatusUnauthorized, token, "POST", "/v2/sessions/search", `{}`)
	}
	if n := issuer.Count(oidctest.IntrospectPath); n != 0 {
		t.Errorf("the issuer was shown %d tokens of ours", n)
	}

	// While the store is away it is not known whether an opaque token is a session's.
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	f.want(http.StatusServiceUnavailable, "another-opaque", "POST", "/v2/sessions/search", `{}`)
	if n := issuer.Count(oidctest.IntrospectPath); n != 0 {
		t.Errorf("the issuer was shown %d tokens", n)
	}
}
