package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// jwtFile trusts an issuer whose JWTs gateways bring; WITH is what else its section verify has.
const jwtFile = `
issuers:
  - name: kc
    issuer: ISSUER
    audience: [cloakroom]
    logout: {audience: [gateway], user: sub}
    verify: {claims: {organization: org}WITH}
`

// withJWTs accepts JWTs as well as session tokens.
func withJWTs(s *setup) {
	withVerify(s)
	s.config.Verify.Accepts = verify.AcceptSessions | verify.AcceptJWTs
	s.config.Verify.Claims = nil
	for _, text := range []string{"email", "Roles=realm_access.roles", "n"} {
		c, err := oidc.ParseNamedClaim(text)
		if err != nil {
			panic(err)
		}
		s.config.Verify.Claims = append(s.config.Verify.Claims, c)
	}
}

// withEndCopies gives the store a near cache that has room for ends.
func withEndCopies(s *setup) {
	withNear(s)
	s.store.JWTs = true
}

// jwtFixture is a fixture with an issuer whose JWTs it takes.
type jwtFixture struct {
	*fixture
	issuer *oidctest.Issuer
}

func newJWTFixture(t testing.TB, with string, change ...func(*setup)) *jwtFixture {
	f := newFixture(t, append([]func(*setup){withJWTs}, change...)...)
	if stats := f.store.NearStats(); stats.On {
		f.runStore()
		eventually.Holds(t, "the near cache is used", func() bool { return f.store.NearStats().ProofAge >= 0 })
		t.Cleanup(func() {
			if stats := f.store.NearStats(); stats.Ends.Hits == 0 && !t.Failed() {
				t.Error("no copy of an end was used")
			}
		})
	}
	return &jwtFixture{f, f.trust(strings.Replace(jwtFile, "WITH", with, 1))}
}

// token is a JWT of alice's login in the session s1, an hour ago; changes replace its claims.
func (f *jwtFixture) token(changes map[string]any) string {
	now := f.now().Std().Unix()
	c := map[string]any{"sid": "s1", "auth_time": now - 3600, "org": "org-1", "preferred_username": "alice@example.com", "amr": []string{"pwd", "mfa"}}
	maps.Copy(c, changes)
	return f.issuer.Sign(f.claims(f.issuer, c))
}

// verifies checks the answer about a token: its status, and the reason, "" for 200.
func (f *jwtFixture) verifies(token string, status int, reason string) reply {
	f.t.Helper()
	r := f.do("", "GET", "/verify", "", "Authorization", "Bearer "+token)
	if r.status != status || reasonIn(r) != reason {
		f.t.Errorf("got %d %q %s, want %d %q", r.status, reasonIn(r), r.body, status, reason)
	}
	return r
}

func (f *jwtFixture) good(token string) reply {
	f.t.Helper()
	return f.verifies(token, http.StatusOK, "")
}
func (f *jwtFixture) revoked(token string) { f.t.Helper(); f.verifies(token, 401, "revoked") }

// eachStore runs a test with one shard and several, with a near cache and without.
func eachStore(t *testing.T, test func(t *testing.T, change func(*setup))) {
	eachShards(t, func(t *testing.T, shards int) {
		for _, near := range []bool{false, true} {
			t.Run(fmt.Sprintf("near=%v", near), func(t *testing.T) {
				test(t, func(s *setup) {
					s.shards = shards
					if near {
						withEndCopies(s)
					}
				})
			})
		}
	})
}

// A JWT says who it is, without any session being stored.
func TestJWT_Identity(t *testing.T) {
	f := newJWTFixture(t, "")
	r := f.good(f.token(map[string]any{"email": "ä@example.com", "realm_access": map[string]any{"roles": []string{"a", "b"}}, "n": 163840776835432705}))
	for name, want := range map[string]string{
		"X-Session-Id": "kc:s1", "X-Session-User": "kc:alice", "X-Session-Login": "alice@example.com", "X-Session-Org": "org-1",
		"X-Session-Factors": "password", "X-Session-Auth-Time": "2050-01-02T02:04:05Z", "X-Session-Expires": "2050-01-02T04:04:05Z",
		"X-Session-Claim-Email": "%C3%A4@example.com", "X-Session-Claim-Roles": "a,b", "X-Session-Claim-N": "163840776835432705",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := `{"active":true,"subject":"kc:alice","sub":"kc:alice","id":"kc:s1","expires_at":"2050-01-02T04:04:05Z","authenticated_at":"2050-01-02T02:04:05Z",` +
		`"identity":{"id":"kc:alice"},"extra":{"session_id":"kc:s1","login_name":"alice@example.com","organization_id":"org-1","factors":["password"],` +
		`"auth_time":2524701845,"exp":2524709045,"claims":{"email":"ä@example.com","Roles":"a,b","n":"163840776835432705"}}}`
	if r.body != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	// What a token does not say is empty, and never left out; so it is for a session token.
	_, session := f.login(aliceVerified)
	for _, token := range []string{f.token(map[string]any{"sid": nil, "org": nil, "preferred_username": nil, "amr": nil, "auth_time": nil}), session} {
		r := f.good(token)
		for _, name := range []string{"X-Session-Claim-Email", "X-Session-Claim-Roles", "X-Session-Claim-N"} {
			if values := r.header.Values(name); len(values) != 1 || values[0] != "" {
				t.Errorf("%s: %q", name, values)
			}
		}
	}
	f.advance(time.Hour + 31*time.Second)
	f.verifies(f.token(map[string]any{"exp": f.now().Std().Unix() - 31}), 401, "expired")
	f.verifies("eyJhbGciOiJSUzI1NiJ9.e30.AAAA", 401, "not_found") // of nobody's
	f.verifies(oidctest.NewKey(t, "RS256").Sign(t, f.claims(f.issuer, nil)), 401, "invalid_jwt")
}

// Policies ask JWTs as they ask sessions.
func TestJWT_Policies(t *testing.T) {
	f := newJWTFixture(t, "")
	ask := func(policy string, status int, changes map[string]any) {
		t.Helper()
		f.want(status, f.token(changes), "GET", "/verify/p/"+policy, "")
	}
	now := f.now().Std().Unix()
	ask("lax", 200, nil)
	ask("lax", 403, map[string]any{"amr": []string{"otp"}})
	ask("strict", 403, nil)
	ask("strict", 200, map[string]any{"amr": []string{"pwd", "hwk"}})
	ask("recent", 403, nil)
	ask("recent", 403, map[string]any{"auth_time": nil}) // it does not say when
	ask("recent", 200, map[string]any{"auth_time": now - 60})
	ask("org", 200, nil)
	ask("org", 403, map[string]any{"org": "org-3"})
	ask("none", 403, nil)
}

// A session ends by its sid, also before it was ever seen, and stays so whatever it refreshes.
func TestJWT_SessionEnds(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*setup)) {
		f := newJWTFixture(t, "", change)
		now := f.now().Std().Unix()
		first, other := f.token(nil), f.token(map[string]any{"sid": "s2"})
		f.good(first)
		f.good(other)
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sub": "alice", "sid": "s1"})))
		f.revoked(first)
		f.good(other)
		f.revoked(first)
		f.good(other)
		f.revoked(f.token(map[string]any{"iat": now, "exp": now + 7200, "jti": "refreshed"}))
		f.revoked(f.token(map[string]any{"auth_time": now + 10}))

		// Before first sight.
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sid": "s3"})))
		f.revoked(f.token(map[string]any{"sid": "s3"}))
		f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/kc:s4", "")
		f.revoked(f.token(map[string]any{"sid": "s4"}))
		for _, c := range []struct{ more, want string }{
			{`,"dryRun":true`, `{"revoked":"0","sessionsOfJwts":"2"}`}, {`,"exceptIds":["kc:s6"]`, `{"revoked":"0","sessionsOfJwts":"1"}`},
		} {
			f.good(f.token(map[string]any{"sid": "s6"}))
			if r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"queries":[{"idsQuery":{"ids":["kc:s5","kc:s6","other"]}}]`+c.more+`}`); r.body != c.want {
				t.Errorf("got %s, want %s", r.body, c.want)
			}
		}
		f.good(f.token(map[string]any{"sid": "s6"}))
		f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"queries":[{"idsQuery":{"ids":["kc:s5","kc:s6"]}}]}`)
		f.revoked(f.token(map[string]any{"sid": "s5"}))
		f.revoked(f.token(map[string]any{"sid": "s6"}))

		// One that is stored.
		f.put("kc:s7=kc:alice", "kc:s8=kc:alice")
		f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/kc:s7", "")
		f.revoked(f.token(map[string]any{"sid": "s7"}))
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sid": "s8"})))
		f.live("kc:s8", "")
		r := f.do("admin", "PUT", "/v2/sessions/kc:s8", `{"sequence":"99","factors":{"user":{"id":"kc:alice"}}}`)
		if r.status != http.StatusBadRequest || !strings.Contains(r.body, "the session has ended") {
			t.Errorf("PUT of a session that has ended: %d %s", r.status, r.body)
		}
		// An ID that is no ID of ours.
		strange := strings.Repeat("ß/", 100)
		f.good(f.token(map[string]any{"sid": strange}))
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sid": strange})))
		f.revoked(f.token(map[string]any{"sid": strange}))
	})
}

// A user's logins end up to an instant: a refresh does not revive them, a new login passes.
func TestJWT_UserEnds(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*setup)) {
		f := newJWTFixture(t, "", change)
		now := f.now().Std().Unix()
		one, two, bob := f.token(nil), f.token(map[string]any{"sid": "s2", "auth_time": now}), f.token(map[string]any{"sub": "bob"})
		f.good(one)
		f.good(two)
		f.good(bob)
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sub": "alice"})))
		f.revoked(one)
		f.revoked(two)
		f.revoked(f.token(map[string]any{"iat": now + 20}))   // refreshed
		f.revoked(f.token(map[string]any{"auth_time": nil}))  // by iat
		f.good(f.token(map[string]any{"auth_time": now + 1})) // a new login
		f.revoked(one)
		f.good(bob)

		r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"queries":[{"userIdQuery":{"id":"kc:bob"}}]}`)
		if want := `{"revoked":"0","notBefore":"2050-01-02T03:04:35Z"}`; r.body != want {
			t.Errorf("got %s, want %s", r.body, want)
		}
		f.revoked(bob)
		f.revoked(f.token(map[string]any{"sub": "bob", "auth_time": now + 30}))
		f.advance(time.Minute)
		f.good(f.token(map[string]any{"sub": "bob", "auth_time": now + 31}))

		// What asks for less than all of the user's ends what is stored alone.
		f.put("kc:s9=kc:carol")
		carol := f.token(map[string]any{"sub": "carol", "sid": "s3"})
		for _, body := range []string{
			`{"queries":[{"userIdQuery":{"id":"kc:carol"}}],"dryRun":true}`,
			`{"queries":[{"userIdQuery":{"id":"kc:carol"}}],"exceptIds":["kc:s3"]}`,
			`{"queries":[{"userIdQuery":{"id":"kc:carol"}},{"creationDateQuery":{"creationDate":"2100-01-01T00:00:00Z","method":"TIMESTAMP_QUERY_METHOD_LESS"}}]}`,
		} {
			if r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", body); strings.Contains(r.body, "notBefore") != strings.Contains(body, "dryRun") {
				t.Errorf("%s: %s", body, r.body)
			}
		}
		f.good(carol)
	})
}

// Where the session is required, it must be stored, and be the user's.
func TestJWT_SessionRequired(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*setup)) {
		f := newJWTFixture(t, ", session: required", change)
		token := f.token(nil)
		f.verifies(token, 401, "not_found")
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/kc:s1", `{"factors":{"user":{"id":"kc:alice","loginName":"stored"},"password":{},"totp":{}},"expirationDate":"2050-01-02T04:00:00Z"}`)
		r := f.good(token)
		for name, want := range map[string]string{"X-Session-Login": "stored", "X-Session-Factors": "password,totp", "X-Session-Expires": "2050-01-02T04:00:00Z"} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if got := f.good(f.token(map[string]any{"exp": f.now().Std().Unix() + 60})).header.Get("X-Session-Expires"); got != "2050-01-02T03:05:05Z" {
			t.Errorf("it ends at %q", got)
		}
		f.good(token)
		f.verifies(f.token(map[string]any{"sub": "bob"}), 401, "not_found")
		f.verifies(f.token(map[string]any{"sid": nil}), 401, "invalid_jwt")
		f.put("kc:s2=kc:alice")
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sub": "alice", "sid": "s1"})))
		f.revoked(token)
		f.good(f.token(map[string]any{"sid": "s2"}))
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sub": "alice"})))
		f.revoked(f.token(map[string]any{"sid": "s2"}))
	})
}

// One issuer's IDs may be the store's own.
func TestJWT_OwnIDs(t *testing.T) {
	f := newJWTFixture(t, ", session_ids: own")
	token := f.token(nil)
	r := f.good(token)
	if id, user := r.header.Get("X-Session-Id"), r.header.Get("X-Session-User"); id != "s1" || user != "alice" {
		t.Errorf("got %q, %q", id, user)
	}
	f.put("s1=alice")
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/s1", "")
	f.revoked(token)
}

// A JWT whose login has ended is no caller of the API either.
func TestJWT_EndedIsNoCaller(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*setup)) {
		f := newJWTFixture(t, "", change)
		token := f.token(nil)
		f.good(token)
		f.good(token)
		f.want(http.StatusOK, token, "POST", "/v2/sessions/search", `{}`)
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sid": "s1"})))
		f.want(http.StatusUnauthorized, token, "POST", "/v2/sessions/search", `{}`)
		other := f.token(map[string]any{"sid": "s2"})
		f.want(http.StatusOK, other, "POST", "/v2/sessions/search", `{}`)
		f.redis.Kill()
		f.want(http.StatusServiceUnavailable, f.token(map[string]any{"sid": "s3"}), "DELETE", "/v2/sessions/x", "")
	})
}

// Only callers with session.delete for the instance end sessions that are not stored.
func TestJWT_WhoEndsWhatIsNotStored(t *testing.T) {
	f := newJWTFixture(t, "")
	token := f.token(nil)
	alice := f.token(map[string]any{"sid": nil})
	f.want(http.StatusForbidden, alice, "DELETE", "/v2/sessions/kc:s1", "")
	f.good(token)
	f.want(http.StatusOK, alice, "DELETE", "/v2/sessions/none", "") // no JWT names it
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/kc:s1", "")
	f.want(http.StatusOK, alice, "DELETE", "/v2/sessions/kc:s1", "") // it has ended
	r := f.want(http.StatusOK, alice, "POST", "/v2/sessions/revoke", `{"queries":[{"userIdQuery":{"id":"kc:bob"}}]}`)
	if strings.Contains(r.body, "notBefore") {
		t.Errorf("alice has ended bob's logins: %s", r.body)
	}
	// Everybody may end all of one's own, and is no caller then.
	other := f.token(map[string]any{"sid": "s2"})
	var got struct{ NotBefore string }
	r = f.want(http.StatusOK, alice, "POST", "/v2/sessions/revoke", `{"queries":[{"userIdQuery":{"id":"kc:alice"}}]}`)
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.NotBefore == "" {
		t.Errorf("%s: %v", r.body, err)
	}
	f.revoked(other)
	f.want(http.StatusUnauthorized, alice, "POST", "/v2/sessions/search", `{}`)
}
