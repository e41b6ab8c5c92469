package oidc

import (
	"errors"
	"strings"
	"testing"
)

// FuzzJWT looks that nothing is good but what the issuer has signed, and that
// every refusal is one of those that callers know.
func FuzzJWT(f *testing.F) {
	v := newFixture(f, bearingWith(""))
	good := v.issuer.Sign(v.claims(nil))
	f.Add(good)
	f.Add(v.issuer.Sign(v.logoutClaims(nil)))
	f.Add(strings.ToUpper(good))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		a, err := v.JWT(t.Context(), []byte(token))
		_, refused := errors.AsType[*InvalidError](err)
		switch {
		case err == nil && (token != good || a.UserID != "test:alice"):
			t.Errorf("%q is good: %+v", token, a)
		case err != nil && !refused && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrUnavailable):
			t.Errorf("%q: %v", token, err)
		}
		_, hash := v.KnownBearer([]byte(token), 0)
		b, err := v.Bearer(t.Context(), []byte(token), hash)
		_, refused = errors.AsType[*InvalidError](err)
		switch {
		case err == nil && (token != good || b.Session.UserID != "test:alice"):
			t.Errorf("%q is good: %+v", token, b)
		case err != nil && !refused && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrUnavailable):
			t.Errorf("%q: %v", token, err)
		}
		l, err := v.Logout(t.Context(), token)
		if _, refused := errors.AsType[*InvalidError](err); err != nil && !refused && !errors.Is(err, ErrUnavailable) || err == nil && l.UserID != "test:alice" {
			t.Errorf("%q: got %+v, %v", token, l, err)
		}
	})
}
