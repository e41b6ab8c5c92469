package oidc

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// leaving is an issuer that sends logout tokens.
const leaving = basic + `
    logout: {audience: [gateway], user: sub, session: sid}
`

// logoutClaims are good ones; changes replace them, nil takes one away.
func (f *fixture) logoutClaims(changes map[string]any) map[string]any {
	c := map[string]any{
		"aud": "gateway", "exp": nil, "nbf": nil, "jti": "1", "sid": "s1",
		"events": map[string]any{oidctest.LogoutEvent: map[string]any{}},
	}
	for name, v := range changes {
		c[name] = v
	}
	return f.claims(c)
}

func TestLogout(t *testing.T) {
	f := newFixture(t, leaving)
	now := f.clock().Unix()
	for _, c := range []struct {
		name    string
		claims  map[string]any
		header  func(map[string]any)
		want    string // "" is good
		user    string
		session string
	}{
		{"user and session", nil, nil, "", "alice", "s1"},
		{"a user", map[string]any{"sid": nil}, nil, "", "alice", ""},
		{"a session", map[string]any{"sub": nil}, nil, "", "", "s1"},
		{"neither", map[string]any{"sub": nil, "sid": nil}, nil, "sub or sid", "", ""},
		{"a session that is a number", map[string]any{"sid": 1}, nil, "session", "", ""},
		{"an empty session", map[string]any{"sid": ""}, nil, "session", "", ""},
		{"an empty user", map[string]any{"sub": ""}, nil, "user", "", ""},
		{"the audience of access tokens", map[string]any{"aud": "cloakroom"}, nil, "aud", "", ""},
		{"no audience", map[string]any{"aud": nil}, nil, "aud", "", ""},
		{"no iat", map[string]any{"iat": nil}, nil, "iat", "", ""},
		{"iat of the future", map[string]any{"iat": now + 31}, nil, "iat", "", ""},
		{"nearly too old", map[string]any{"iat": now - 629}, nil, "", "alice", "s1"},
		{"too old", map[string]any{"iat": now - 630}, nil, "iat", "", ""},
		{"expired", map[string]any{"exp": now - 30}, nil, "exp", "", ""},
		{"not expired", map[string]any{"exp": now + 60}, nil, "", "alice", "s1"},
		{"no jti", map[string]any{"jti": nil}, nil, "jti", "", ""},
		{"an empty jti", map[string]any{"jti": ""}, nil, "jti", "", ""},
		{"no events", map[string]any{"events": nil}, nil, "events", "", ""},
		{"another event", map[string]any{"events": map[string]any{"x": map[string]any{}}}, nil, "events", "", ""},
		{"an event that is no object", map[string]any{"events": map[string]any{oidctest.LogoutEvent: true}}, nil, "events", "", ""},
		{"events that are a list", map[string]any{"events": []string{oidctest.LogoutEvent}}, nil, "events", "", ""},
		{"events with another member", map[string]any{"events": map[string]any{oidctest.LogoutEvent: map[string]any{"x": 1}, "y": 1}}, nil, "", "alice", "s1"},
		{"a nonce", map[string]any{"nonce": "n"}, nil, "nonce", "", ""},
		{"a nonce that is null", map[string]any{"nonce": (*int)(nil)}, nil, "nonce", "", ""},
		{"typ logout+jwt", nil, header("typ", "logout+jwt"), "", "alice", "s1"},
		{"typ of an access token", nil, header("typ", "at+jwt"), "typ", "", ""},
		{"another issuer", map[string]any{"iss": "https://elsewhere.example"}, nil, "iss", "", ""},
	} {
		var changes []func(map[string]any)
		if c.header != nil {
			changes = append(changes, c.header)
		}
		l, err := f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(c.claims), changes...))
		if c.want != "" {
			if e, ok := errors.AsType[*InvalidError](err); !ok || !strings.Contains(e.Reason, c.want) {
				t.Errorf("%s: got %v, want a refusal that says %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil || l.Issuer != "test" || l.UserID != c.user || string(l.SessionID) != c.session {
			t.Errorf("%s: got %+v, %v", c.name, l, err)
		}
	}
	_, err := f.Logout(t.Context(), oidctest.NewKey(t, "RS256").Sign(t, f.logoutClaims(nil)))
	f.refused(err, "kid")
	f.later(err, true)
	_, err = f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(map[string]any{"iat": now + 31})))
	f.later(err, true)
	_, err = f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(map[string]any{"exp": now - 30})))
	f.later(err, false)
	for _, text := range []string{"", "x", "a.b.c", strings.Repeat("x", MaxTokenBytes+1)} {
		_, err = f.Logout(t.Context(), text)
		f.refused(err, "")
	}
	// A logout token is no access token, though its audience may be the same.
	_, err = f.jwt(f.issuer.Sign(f.logoutClaims(map[string]any{"aud": "cloakroom", "exp": now + 60})))
	f.refused(err, "events")
}

// A token is named by its issuer and its jti, and lives as long as its iat says.
func TestLogoutNamesItsToken(t *testing.T) {
	f := newFixture(t, leaving)
	get := func(changes map[string]any) *Logout {
		t.Helper()
		l, err := f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(changes)))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one := get(nil)
	if same := get(map[string]any{"sid": "s2"}); same.ID != one.ID {
		t.Error("one jti has two names")
	}
	if other := get(map[string]any{"jti": "2"}); other.ID == one.ID {
		t.Error("two jti have one name")
	}
	if want := f.clock().Add(MaxLogoutAge + defaultLeeway); !one.Until.Equal(want) {
		t.Errorf("got %v, want %v", one.Until, want)
	}
}

func TestLogoutOfOtherClaims(t *testing.T) {
	f := newFixture(t, basic+"    logout: {audience: [gateway], user: ext.uid}\n")
	l, err := f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(map[string]any{"ext": map[string]any{"uid": "u7"}})))
	if err != nil || l.UserID != "u7" || l.SessionID != "" {
		t.Errorf("got %+v, %v", l, err)
	}
	_, err = f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(nil)))
	f.refused(err, "configured")
	f.Set(f.parse(basic))
	f.settled(1)
	_, err = f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(nil)))
	f.refused(err, "no logout")
}

func TestI2_LogoutWhileTheIssuerIsAway(t *testing.T) {
	f := newStopped(t, leaving)
	f.issuer.Stop()
	f.run()
	f.settled(1)
	token := f.issuer.Sign(f.logoutClaims(nil))
	if _, err := f.Logout(t.Context(), token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.issuer.Restart()
	f.settled(2)
	if _, err := f.Logout(t.Context(), token); err != nil {
		t.Error(err)
	}
	f.advance(MaxLogoutAge + defaultLeeway + time.Second)
	_, err := f.Logout(t.Context(), token)
	f.refused(err, "iat")
}

// later checks whether a refused token may be good later.
func (f *fixture) later(err error, want bool) {
	f.t.Helper()
	if e, ok := errors.AsType[*InvalidError](err); !ok || e.Later != want {
		f.t.Errorf("got %+v, later %v is wanted", err, want)
	}
}

// An issuer may make a key of another algorithm at any time, and use it at once: where that is
// only not configured, its logouts are not refused for good. Without a list each is taken.
func TestLogout_AnotherAlgorithm(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA", "PS384"} {
		f := newFixture(t, leaving)
		f.issuer.Rotate(oidctest.NewKey(t, algorithm))
		f.wanted()
		if _, err := f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(nil))); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		f = newFixture(t, strings.Replace(leaving, basic, basic+"\n    algorithms: [RS256]", 1))
		f.issuer.Rotate(oidctest.NewKey(t, algorithm))
		f.wanted()
		_, err := f.Logout(t.Context(), f.issuer.Sign(f.logoutClaims(nil)))
		f.refused(err, "alg")
		f.later(err, true)
	}
	f := newFixture(t, leaving)
	_, rest, _ := strings.Cut(f.issuer.Sign(f.logoutClaims(nil)), ".")
	_, err := f.Logout(t.Context(), base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))+"."+rest)
	f.refused(err, "")
	f.later(err, false)
}
