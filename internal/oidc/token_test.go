package oidc

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/golang-jwt/jwt/v5"
)

func TestJWT(t *testing.T) {
	f := newFixture(t, basic)
	a, err := f.jwt(f.issuer.Sign(f.claims(nil)))
	f.good(a, err, "")
	if n := f.issuer.Count(oidctest.KeysPath); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func header(name string, value any) func(map[string]any) {
	return func(h map[string]any) {
		if h[name] = value; value == nil {
			delete(h, name)
		}
	}
}

// Every check fails for the token that it is there for, and for no other.
func TestJWTChecks(t *testing.T) {
	f := newFixture(t, basic)
	now := f.clock().Unix()
	for _, c := range []struct {
		name   string
		claims map[string]any
		header func(map[string]any)
		want   string // "" is good
	}{
		{"one of several audiences", map[string]any{"aud": []string{"x", "other"}}, nil, ""},
		{"another audience", map[string]any{"aud": "x"}, nil, "aud"},
		{"an audience that begins alike", map[string]any{"aud": []string{"cloakroom2", "cloak"}}, nil, "aud"},
		{"no audience", map[string]any{"aud": nil}, nil, "aud"},
		{"no audience among none", map[string]any{"aud": []string{}}, nil, "aud"},
		{"expired within the leeway", map[string]any{"exp": now - 29}, nil, ""},
		{"expired", map[string]any{"exp": now - 30}, nil, "exp"},
		{"expired long ago", map[string]any{"exp": 1}, nil, "exp"},
		{"never expires", map[string]any{"exp": nil}, nil, "exp"},
		{"expires at a text", map[string]any{"exp": "2099-01-01"}, nil, "another type"},
		{"valid soon", map[string]any{"nbf": now + 30}, nil, ""},
		{"valid later", map[string]any{"nbf": now + 31}, nil, "nbf"},
		{"without nbf", map[string]any{"nbf": nil}, nil, ""},
		{"issued soon", map[string]any{"iat": now + 30}, nil, ""},
		{"issued later", map[string]any{"iat": now + 31}, nil, "iat"},
		{"without iat", map[string]any{"iat": nil}, nil, ""},
		{"no user", map[string]any{"sub": nil}, nil, "user"},
		{"an empty user", map[string]any{"sub": ""}, nil, "user"},
		{"a user that is a number", map[string]any{"sub": 7}, nil, "user"},
		{"a long user", map[string]any{"sub": strings.Repeat("a", 201)}, nil, "user"},
		{"a longest user", map[string]any{"sub": strings.Repeat("a", 200)}, nil, ""},
		{"typ JWT", nil, header("typ", "JWT"), ""},
		{"typ at+jwt", nil, header("typ", "at+JWT"), ""},
		{"typ application/at+jwt", nil, header("typ", "application/at+jwt"), ""},
		{"no typ", nil, header("typ", nil), ""},
		{"a logout token", nil, header("typ", "logout+jwt"), "typ"},
		{"typ that is a number", nil, header("typ", 1), "typ"},
		{"crit", nil, header("crit", []string{"b64"}), "crit"},
		{"a logout token by its events", map[string]any{"events": map[string]any{oidctest.LogoutEvent: map[string]any{}}}, nil, "events"},
		{"other events", map[string]any{"events": map[string]any{"x": 1}}, nil, ""},
		{"Keycloak's access token", map[string]any{"typ": "Bearer"}, nil, ""},
		{"Keycloak's ID token", map[string]any{"typ": "ID"}, nil, "typ"},
		{"Keycloak's refresh token", map[string]any{"typ": "Refresh"}, nil, "typ"},
		{"an ID token by the hash of its access token", map[string]any{"at_hash": "x"}, nil, "at_hash"},
		{"an ID token by the hash of its code", map[string]any{"c_hash": "x"}, nil, "c_hash"},
		{"bound to a key", map[string]any{"cnf": map[string]any{"jkt": "x"}}, nil, "cnf"},
		{"no kid, and there is one key", nil, header("kid", nil), ""},
		{"kid that is a number", nil, header("kid", 1), "kid"},
	} {
		var changes []func(map[string]any)
		if c.header != nil {
			changes = append(changes, c.header)
		}
		_, err := f.jwt(f.issuer.Sign(f.claims(c.claims), changes...))
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" {
			if e, ok := errors.AsType[*InvalidError](err); !ok || !strings.Contains(e.Reason, c.want) {
				t.Errorf("%s: got %v, want a refusal that says %q", c.name, err, c.want)
			}
		}
	}
}

// What is signed by somebody else, or by nobody, is refused.
func TestJWTForged(t *testing.T) {
	f := newFixture(t, basic)
	key := oidctest.NewKey(t, "RS256")
	f.issuer.Rotate(key)
	f.wanted()
	good := f.issuer.Sign(f.claims(nil))
	if _, err := f.jwt(good); err != nil {
		t.Fatal(err)
	}
	kid := header("kid", key.ID)

	// Another key under the same ID.
	_, err := f.jwt(oidctest.NewKey(t, "RS256").Sign(t, f.claims(nil), kid))
	f.refused(err, "signature")
	// One whose time is over, so that nobody has its key any more.
	_, err = f.jwt(oidctest.NewKey(t, "RS256").Sign(t, f.claims(map[string]any{"exp": f.clock().Unix() - 86_400})))
	f.refused(err, "kid")
	f.ended(err)
	// The public key, which everybody knows, as the secret of HS256.
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		_, err = f.jwt(oidctest.SignWith(t, jwt.SigningMethodHS256, secret, f.claims(nil), kid))
		f.refused(err, "signature")
	}
	_, err = f.jwt(oidctest.SignWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, f.claims(nil), kid))
	f.refused(err, "algorithm")
	// The right key by an algorithm that it is not for.
	pss := *key
	pss.Algorithm = "PS256"
	_, err = f.jwt(pss.Sign(t, f.claims(nil)))
	f.refused(err, "alg")
	// A changed part.
	parts := strings.Split(good, ".")
	other := strings.Split(f.issuer.Sign(f.claims(map[string]any{"sub": "mallory"})), ".")
	_, err = f.jwt(parts[0] + "." + other[1] + "." + parts[2])
	f.refused(err, "signature")
	_, err = f.jwt(parts[0] + "." + parts[1] + ".")
	f.refused(err, "signature")
}

// wanted has the keys fetched and waits for it.
func (f *fixture) wanted() {
	f.t.Helper()
	r := &f.current.Load().list[0].ring
	r.mu.Lock()
	n := r.begun + 1
	r.mu.Unlock()
	r.wanted <- struct{}{}
	f.settled(n)
}

// Tokens of others are not looked at further.
func TestForeign(t *testing.T) {
	f := newFixture(t, basic)
	good := f.issuer.Sign(f.claims(nil))
	for name, token := range map[string]string{
		"nothing":             "",
		"dots":                "..",
		"opaque":              "abcdef",
		"a session token":     "1234567890123456789." + strings.Repeat("a", 43),
		"five parts":          good + ".x.y",
		"two parts":           strings.Join(strings.Split(good, ".")[:2], "."),
		"another issuer":      f.issuer.Sign(f.claims(map[string]any{"iss": "https://elsewhere.example"})),
		"the issuer and /":    f.issuer.Sign(f.claims(map[string]any{"iss": f.issuer.URL + "/"})),
		"no issuer":           f.issuer.Sign(f.claims(map[string]any{"iss": nil})),
		"an issuer in a list": f.issuer.Sign(f.claims(map[string]any{"iss": []string{f.issuer.URL}})),
		"too long":            f.issuer.Sign(f.claims(map[string]any{"x": strings.Repeat("x", MaxTokenBytes)})),
		"no alg":              "e30." + strings.Split(good, ".")[1] + ".x",
	} {
		if _, err := f.jwt(token); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	f.Set(nil)
	if _, err := f.jwt(good); !errors.Is(err, ErrForeign) {
		t.Errorf("without issuers: got %v", err)
	}
}

func TestAlgorithms(t *testing.T) {
	f := newFixture(t, basic+"\n    algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA]\n")
	for _, algorithm := range algorithms {
		f.issuer.Rotate(oidctest.NewKey(t, algorithm))
		f.wanted()
		if _, err := f.jwt(f.issuer.Sign(f.claims(map[string]any{"jti": algorithm}))); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// A token is verified once in a while, not at every request; no longer than it
// lives, and anew when the settings change.
func TestKnownTokens(t *testing.T) {
	f := newFixture(t, basic)
	long := f.issuer.Sign(f.claims(nil))
	short := f.issuer.Sign(f.claims(map[string]any{"exp": f.clock().Unix() + 10}))
	first, err := f.jwt(long)
	f.good(first, err, "")
	if _, err := f.jwt(short); err != nil {
		t.Fatal(err)
	}
	// The key goes away: only what is known is still good.
	f.issuer.Rotate(oidctest.NewKey(t, "RS256"))
	f.wanted()
	again, err := f.jwt(long)
	if again != first || err != nil {
		t.Errorf("got %v, %v, want what was known", again, err)
	}
	f.advance(9 * time.Second)
	if _, err := f.jwt(short); err != nil {
		t.Error(err)
	}
	f.advance(time.Second)
	_, err = f.jwt(short)
	f.refused(err, "kid") // after exp nothing is known, and the leeway is for the checks
	f.advance(20 * time.Second)
	_, err = f.jwt(long)
	f.refused(err, "kid")
}

func TestI6_NoTokenIsLogged(t *testing.T) {
	f := newFixture(t, asking)
	for _, c := range []map[string]any{{"aud": "x-secret"}, {"sub": 7, "email": "x-secret"}, {"exp": "x-secret"}} {
		token := f.issuer.Sign(f.claims(c), header("kid", nil))
		_, err := f.jwt(token)
		f.refused(err, "")
		if strings.Contains(err.Error(), "x-secret") || strings.Contains(err.Error(), token[:20]) {
			t.Errorf("the error repeats a part of the token: %v", err)
		}
	}
	if _, err := f.jwt(f.issuer.Sign(f.claims(nil), header("kid", "x-secret"))); err == nil {
		t.Error("an unknown kid is good")
	}
	if _, err := f.Opaque(t.Context(), "x-secret-opaque"); err == nil {
		t.Error("an unknown token is good")
	}
	f.issuer.Stop()
	if _, err := f.Opaque(t.Context(), "x-secret-other"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	log := f.logs.String()
	if strings.Contains(log, "x-secret") || strings.Contains(log, "eyJ") || strings.Contains(log, "s3cret") {
		t.Errorf("the log has a secret:\n%s", log)
	}
	if !strings.Contains(log, "aud: ") || !strings.Contains(log, "does not answer") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}
