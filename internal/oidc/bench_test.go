package oidc

import (
	"fmt"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// BenchmarkJWT measures what an access token costs at its first request, and at
// those after it.
func BenchmarkJWT(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		f := newFixture(b, keycloak(algorithm))
		f.issuer.Rotate(oidctest.NewKey(b, algorithm))
		f.wanted()
		claims := f.claims(map[string]any{"realm_access": map[string]any{"roles": []string{"support", "offline_access"}}, "orgs": []string{"o1"}, "email": "alice@example.com"})
		token := []byte(f.issuer.Sign(claims))
		b.Run(algorithm+"/cold", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.current.Load().known.good.InvalidateAll()
				if _, err := f.JWT(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(algorithm+"/known", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.JWT(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f := newFixture(b, basic)
	session := fmt.Appendf(nil, "my-session.%043d", 7)
	b.Run("session token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.JWT(b.Context(), session); err != ErrForeign {
				b.Fatal(err)
			}
		}
	})
}

// keycloak is an issuer with Keycloak's claims.
func keycloak(algorithm string) string {
	return basic + fmt.Sprintf(`
    algorithms: [%s]
    claims: {permissions: realm_access.roles, organizations: orgs}
    permissions: {support: {organizations: [session.read]}}
`, algorithm)
}
