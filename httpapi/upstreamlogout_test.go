package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// JWTs of a session that a logout names are refused though ZITADEL cannot say whose the session is; another user's are not, and
// the logout comes again.
func TestUpstreamLogout_OfASessionEndsJWTsAtOnce(t *testing.T) {
	away := func(f *upstreamFixture) { f.zitadel.Fail("GetSession", 100, zitadeltest.Failure{}) }
	for name, c := range map[string]struct {
		fails                   func(*upstreamFixture)
		noUser, another, unseen bool
		stays                   bool
	}{
		"away":               {fails: away},
		"away, no user":      {fails: away, noUser: true},
		"away, never seen":   {fails: away, unseen: true},
		"away, of another":   {fails: away, another: true, stays: true},
		"silent":             {fails: func(f *upstreamFixture) { f.t.Cleanup(f.zitadel.Hold(zitadeltest.GetSession).Release) }},
		"silent, of another": {fails: func(f *upstreamFixture) { f.t.Cleanup(f.zitadel.Hold(zitadeltest.GetSession).Release) }, another: true, stays: true},
		"does not show it": {fails: func(f *upstreamFixture) {
			f.zitadel.Fail("GetSession", 100, zitadeltest.Failure{Status: http.StatusForbidden})
		}},
		"shows what cannot be read": {fails: func(f *upstreamFixture) {
			f.zitadel.Fail("GetSession", 100, zitadeltest.Failure{Status: http.StatusOK})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newUpstreamFixture(t, withJWTs, func(s *setup) { s.config.UpstreamTimeout = logoutTimeout })
			j := &jwtFixture{f.fixture, f.trust(strings.Replace(jwtFile, "WITH", ", session_ids: own", 1))}
			var id string
			if c.unseen {
				id = f.elsewhere(1, zitadeltest.Session{UserID: f.user.ID})[0]
			} else {
				id, _ = f.create()
			}
			token := j.token(map[string]any{"sid": id, "sub": f.user.ID})
			j.good(token)
			logout := map[string]any{"sub": f.user.ID, "sid": id}
			if c.another {
				logout["sub"] = f.anotherUser("")
			}
			if c.noUser {
				logout["sub"] = nil
			}
			again := f.logoutToken(j.issuer, logout)
			c.fails(f)
			if r := f.sendLogout(again); r.status != http.StatusServiceUnavailable {
				t.Errorf("got %d %s", r.status, r.body)
			}
			if c.stays {
				j.good(token)
			} else {
				j.revoked(token)
			}
			f.left(id)
			if strings.HasPrefix(name, "silent") {
				return
			}
			f.zitadel.Recover()
			loggedOut(t, f.sendLogout(again))
			if c.stays {
				f.left(id)
				j.good(token)
			} else {
				f.left()
			}
		})
	}
}

// A logout ends sessions at ZITADEL, and counts as used when that is done.
func TestUpstreamLogout(t *testing.T) {
	f := newUpstreamFixture(t)
	issuer := f.trust(issuersFile)
	other := f.anotherUser("")
	id, token := f.create()
	second, secondToken := f.create()
	stays := f.elsewhere(1, zitadeltest.Session{UserID: other})[0]
	claims := func(sub, sid string) map[string]any {
		c := map[string]any{"sub": nil, "sid": nil}
		if sub != "" {
			c["sub"] = sub
		}
		if sid != "" {
			c["sid"] = sid
		}
		return c
	}
	// Another user's session stays, and so does all while ZITADEL refuses or is away.
	loggedOut(t, f.sendLogout(f.logoutToken(issuer, claims(f.user.ID, stays))))
	f.left(id, second, stays)
	again := f.logoutToken(issuer, claims(f.user.ID, id))
	f.zitadel.Fail("DeleteSession", 1, zitadeltest.Failure{Status: http.StatusForbidden})
	notLoggedOut(t, f.sendLogout(again), http.StatusServiceUnavailable, "temporarily_unavailable", "refuses to delete sessions")
	f.zitadel.Fail("DeleteSession", 10, zitadeltest.Failure{})
	notLoggedOut(t, f.sendLogout(again), http.StatusServiceUnavailable, "temporarily_unavailable", "zitadel is unavailable")
	f.zitadel.Recover()
	f.zitadel.Fail("GetSession", 1, zitadeltest.Failure{})
	notLoggedOut(t, f.sendLogout(again), http.StatusServiceUnavailable, "temporarily_unavailable", "zitadel is unavailable")
	f.left(id, second, stays)
	loggedOut(t, f.sendLogout(again))
	f.left(second, stays)
	f.verifies(id, token, http.StatusUnauthorized, "revoked")
	notLoggedOut(t, f.sendLogout(again), http.StatusBadRequest, "invalid_request", "used before")
	f.verifies(second, secondToken, http.StatusOK, "")
	// A session alone, that was never seen, and one that there is not.
	loggedOut(t, f.sendLogout(f.logoutToken(issuer, claims("", f.elsewhere(1, zitadeltest.Session{UserID: other})[0]))))
	loggedOut(t, f.sendLogout(f.logoutToken(issuer, claims("", "123"))))
	f.left(second, stays)
	// All of a user.
	f.elsewhere(3, zitadeltest.Session{UserID: f.user.ID})
	everywhere := f.logoutToken(issuer, claims(f.user.ID, ""))
	f.zitadel.Fail("ListSessions", 1, zitadeltest.Failure{})
	notLoggedOut(t, f.sendLogout(everywhere), http.StatusServiceUnavailable, "temporarily_unavailable", "zitadel is unavailable")
	loggedOut(t, f.sendLogout(everywhere))
	f.left(stays)
	f.verifies(second, secondToken, http.StatusUnauthorized, "revoked")
}

// A ZITADEL that takes longer than a logout may take here has until its own timeout.
func TestUpstreamLogout_WaitsForZITADEL(t *testing.T) {
	f := newUpstreamFixture(t)
	issuer := f.trust(issuersFile)
	id, _ := f.create()
	f.zitadel.Change(func(s *zitadeltest.Settings) {
		s.Latency = map[string]func() time.Duration{"DeleteSession": func() time.Duration { return logoutTimeout + 100*time.Millisecond }}
	})
	loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": f.user.ID, "sid": id})))
	f.left()
}

// JWTs of a login that has ended are refused though ZITADEL is away, and the logout comes again for the sessions.
func TestUpstreamLogout_EndsJWTsAtOnce(t *testing.T) {
	f := newUpstreamFixture(t, withJWTs)
	j := &jwtFixture{f.fixture, f.trust(strings.Replace(jwtFile, "WITH", ", session_ids: own", 1))}
	id, _ := f.create()
	other := f.elsewhere(1, zitadeltest.Session{UserID: f.user.ID})[0]
	token := j.token(map[string]any{"sid": id, "sub": f.user.ID})
	j.good(token)
	f.clock.Store(int64(session.TimeOf(f.zitadel.Now()))) // the logout comes after the logins
	logout := f.logoutToken(j.issuer, map[string]any{"sub": f.user.ID})
	f.zitadel.Fail("ListSessions", 1, zitadeltest.Failure{})
	notLoggedOut(t, f.sendLogout(logout), http.StatusServiceUnavailable, "temporarily_unavailable", "zitadel is unavailable")
	j.revoked(token)
	f.left(id, other)
	loggedOut(t, f.sendLogout(logout))
	f.left()
}
