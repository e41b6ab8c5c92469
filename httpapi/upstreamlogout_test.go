package httpapi

import (
	"net/http"
	"strings"
	"testing"

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
