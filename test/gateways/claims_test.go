package gateways

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// claiming returns g with what docs/gateways.md adds to its file for the claim department, if it adds anything.
func claiming(t *testing.T, g gateway) gateway {
	t.Helper()
	switch g.(type) {
	case nginx:
		return nginx{change("nginx/cloakroom.conf",
			before("        proxy_set_header X-Forwarded-For     $remote_addr;\n", documented(t, "nginx claim", "        ")))}
	case caddy:
		return caddy{change("caddy/Caddyfile", after("		forward_auth 127.0.0.1:8081 {\n", documented(t, "Caddy claim", "			")))}
	case oathkeeper:
		return oathkeeper{edited(t, "oathkeeper/config.yaml", func(conf object) object {
			maps.Copy(at[object](t, conf, "mutators/header/config/headers"), documentedYAML(t, "Oathkeeper claim"))
			return conf
		})}
	case apisix:
		return apisix{edited(t, "apisix/apisix.yaml", func(conf object) object {
			auth := at[object](t, conf, "routes/0/plugins/forward-auth")
			auth["upstream_headers"] = append(at[[]any](t, auth, "upstream_headers"), "X-Session-Claim-Department", "X-Session-Claim-Roles")
			return conf
		})}
	default:
		return g
	}
}

// signer writes a new file of assertion keys, and returns it with the public key.
func signer(t *testing.T) (file string, public any) {
	t.Helper()
	text := testfile.SigningKey(t)
	block, _ := pem.Decode([]byte(text))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return testfile.Write(t, text), key.(ed25519.PrivateKey).Public()
}

// asserted checks the assertion that the application saw, and takes it out of what it saw. Behind Oathkeeper it has to be empty.
func (w *world) asserted(t *testing.T, v *visitor, got *seen, public any) {
	t.Helper()
	values := got.identity()["x-session-assertion"]
	for name := range got.header {
		if folded(name) == "x-session-assertion" {
			delete(got.header, name)
		}
	}
	if len(values) != 1 {
		t.Fatalf("the application saw the assertions %q", values)
	}
	if _, ok := w.gateway.(oathkeeper); ok {
		if values[0] != "" {
			t.Errorf("the application saw the assertion %q", values[0])
		}
		return
	}
	var claims jwt.MapClaims
	_, err := jwt.ParseWithClaims(values[0], &claims, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithoutClaimsValidation())
	if err != nil || claims["sub"] != v.header["x-session-user"] || claims["sid"] != v.header["x-session-id"] {
		t.Errorf("the application saw the assertion %s: %v, %v", values[0], claims, err)
	}
}

// TestSpoofing_ClaimsAndAssertions has each gateway hand on claims and assertions. The application sees those of Cloakroom and no
// other, whatever a client brings under their names.
func TestSpoofing_ClaimsAndAssertions(t *testing.T) {
	issuer := oidctest.Start(t)
	issuers := issuersFile(t, issuer)
	keys, public := signer(t)
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, claiming(t, g), "--auth-issuers-file", issuers, "--verify-accept", "session,jwt", "--verify-claims", "roles,department=unit.name",
			"--assertion-key-file", keys, "--assertion-audience", "shop")
		all := jwtVisitor(issuer, "s1", map[string]any{
			"roles": []string{"a", "b"}, "unit": map[string]any{"name": "größe 1"}, "padding": strings.Repeat("x", 11<<10), // a JWT of 15 KiB
		})
		all.header["x-session-claim-roles"], all.json["x-session-claim-roles"] = "a,b", "a,b"
		all.header["x-session-claim-department"], all.json["x-session-claim-department"] = "gr%C3%B6%C3%9Fe 1", "größe 1"
		none := jwtVisitor(issuer, "s2", nil) // has no such claims
		session := w.ours.login(t, "session") // is no JWT
		eventually.Holds(t, "the issuer's keys are there", func() bool { return w.asks(t, request{}.bearer(all)) == http.StatusOK })
		for _, v := range []*visitor{all, none, session} {
			for _, name := range []string{"X-Session-Assertion", "X-Session-Claim-Roles", "X-Session-Claim-Department"} {
				var lines []string
				for _, written := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")} {
					if _, ok := g.(oathkeeper); ok && strings.ContainsAny(written, "_.") {
						continue // it hands on what is not its own name
					}
					lines = append(lines, written+": "+forged, written+": ", written+": "+forged+", "+forged)
				}
				w.refuses(t, request{lines: lines})
				for _, r := range []request{request{lines: lines}.bearer(v), request{}.bearer(v).with(lines...)} {
					response, body, reached := w.send(t, r)
					if response.StatusCode != http.StatusOK || len(reached) != 1 {
						t.Fatalf("%s: status %d, it reached the application %d times: %s", name, response.StatusCode, len(reached), body)
					}
					for name := range reached[0].forged() {
						t.Errorf("the application saw %s: %s", name, forged)
					}
					w.asserted(t, v, reached[0], public)
					w.passed(t, r, v, reached)
				}
			}
		}
	})
}
