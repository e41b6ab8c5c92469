package oidc

import (
	"encoding/base64"
	"encoding/json"
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

// FuzzExplain looks that any claims are explained, in little text that repeats no long one of them. (I6)
func FuzzExplain(f *testing.F) {
	v := newStopped(f, basic)
	i := newIssuer(&v.parse(strings.Replace(explained, "VERIFY", idMode, 1)).issuers[0], v.Verifier)
	for _, kind := range []string{"access", "id", "logout", "introspection"} {
		text, err := json.Marshal(v.zitadel(kind))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`{"aud":[],"exp":-1,"iat":1e300,"auth_time":"x","sub":{},"sid":[],"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`)
	f.Add(`{"aud":7,"exp":null,"typ":"ID","amr":{},"urn:zitadel:iam:org:project:roles":{"session-admin":{"":1}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := decodeClaims(base64.RawURLEncoding.EncodeToString([]byte(text)))
		if err != nil {
			return
		}
		e := &Explanation{}
		e.explainClaims(i, claims, v.clock())
		shown := e.String()
		if len(e.Lines) < 6 || len(shown) > 64<<10 {
			t.Errorf("%d lines, %d bytes", len(e.Lines), len(shown))
		}
		for _, name := range []string{"sid", "sub", "urn:zitadel:iam:user:resourceowner:id"} {
			if value, ok := claims[name].(string); ok && len(value) > 200 && strings.Contains(shown, value) && !strings.Contains(e.Lines[len(e.Lines)-1].Text, value) {
				t.Errorf("I6: it shows %s", name)
			}
		}
	})
}
