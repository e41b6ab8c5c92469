package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// Claims that logouts and JWTs name differently must not make a logout end nothing.
func TestJWT_LogoutNamesOtherClaims(t *testing.T) {
	const file = `
issuers:
  - name: kc
    issuer: ISSUER
    audience: [cloakroom]
    claims: {user: USER}
    logout: {audience: [gateway]LOGOUT}
    verify: {VERIFY}
`
	trust := func(user, logout, verify string) *jwtFixture {
		f := newFixture(t, withJWTs)
		return &jwtFixture{f, f.trust(strings.NewReplacer("USER", user, "LOGOUT", logout, "VERIFY", verify).Replace(file))}
	}
	// Users have another name than sub, in logouts, too.
	f := trust("preferred_username", "", "")
	token := f.token(nil)
	f.good(token)
	notLoggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sub": "alice"})), http.StatusBadRequest, "invalid_request", "user")
	loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sub": "alice", "preferred_username": "alice@example.com"})))
	f.revoked(token)
	// The session that a logout names is not the one that JWTs name.
	f = trust("sub", ", session: sid", `claims: {session: jti}, session_pattern: "^(V2_.+)-at_"`)
	f.put("kc:s1=kc:alice")
	token = f.token(map[string]any{"sid": nil, "auth_time": nil, "jti": "V2_123-at_456"})
	f.good(token)
	notLoggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sid": "s1"})), http.StatusBadRequest, "invalid_request", "user")
	f.live("kc:s1", "kc:s1")
	loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sub": "alice", "sid": "s1"})))
	f.live("kc:s1", "")
	f.revoked(token)
	f.verifies(f.token(map[string]any{"sid": nil, "jti": "V3_123-at_456"}), 401, "invalid_jwt") // no pattern of ours
}

// A logout that names another user than the stored session has ends neither that nor its JWTs.
func TestJWT_LogoutOfAnothersSession(t *testing.T) {
	f := newJWTFixture(t, ", session_ids: own")
	f.put("s1=bob")
	loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sid": "s1", "sub": "alice"})))
	f.want(http.StatusOK, "admin", "PATCH", "/v2/sessions/s1", `{"metadata":{"a":"YQ=="}}`)
	f.good(f.token(map[string]any{"sub": "bob"}))
}

// However late a logout of the user comes, a login after it stays.
func TestJWT_LateLogoutLeavesNewLogin(t *testing.T) {
	f := newJWTFixture(t, ", session: required")
	iat := f.now().Std().Unix()
	logout := f.logoutToken(f.issuer, map[string]any{"sub": "alice", "iat": iat})
	f.put("kc:s1=kc:alice")
	old := f.token(map[string]any{"sid": "s1", "auth_time": iat - 10})
	f.good(old)
	f.advance(900 * time.Millisecond)
	f.put("kc:s2=kc:alice") // in the second of the logout, perhaps before it
	f.advance(20 * time.Second)
	f.put("kc:s9=kc:alice")
	fresh := f.token(map[string]any{"sid": "s9", "auth_time": iat + 10})
	f.good(fresh)
	loggedOut(t, f.sendLogout(logout))
	f.good(fresh)
	f.revoked(old)
	f.live("kc:s1 kc:s2 kc:s9", "kc:s9")
}

// An opaque access token whose login has ended is no caller, also when its issuer is asked anew. One whose
// date is not told ends with its session.
func TestJWT_EndedOpaqueIsNoCaller(t *testing.T) {
	f := newFixture(t, withJWTs)
	issuer := f.trust(`
issuers:
  - name: kc
    issuer: ISSUER
    audience: [cloakroom]
    introspection: {url: ISSUER/introspect, client_id: "cloak:room", client_secret_file: SECRET}
    logout: {audience: [gateway]}
    verify: {}
`)
	now := f.now().Std().Unix()
	dated, undated := "opaque-token-0123456789-abcdefgh", "opaque-token-without-iat-abcdefgh"
	issuer.Opaque(dated, map[string]any{"active": true, "sub": "alice", "aud": "cloakroom", "iat": now, "exp": now + 3600, "sid": "s1"})
	issuer.Opaque(undated, map[string]any{"active": true, "sub": "alice", "aud": "cloakroom", "exp": now + 3600, "sid": "s2"})
	search := func(token string, want int) {
		t.Helper()
		f.want(want, token, "POST", "/v2/sessions/search", `{}`)
	}
	search(undated, http.StatusOK)
	loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sid": "s1"})))
	for range 3 { // the first asks the issuer
		search(dated, http.StatusUnauthorized)
	}
	search(undated, http.StatusOK)
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/kc:s2", "")
	search(undated, http.StatusUnauthorized)
}

// An end that is over refuses nothing any more, in the process that remembers it, too.
func TestJWT_EndIsOver(t *testing.T) {
	f := newFixture(t, withJWTs, func(s *setup) { s.store.RememberDeletions = 100 })
	issuer := f.trust(strings.Replace(strings.Replace(jwtFile, "WITH", "", 1), "    verify", "    session_max_lifetime: 1h\n    verify", 1))
	loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sid": "s1"})))
	put := func(want int) {
		t.Helper()
		f.want(want, "admin", "PUT", "/v2/sessions/kc:s1", `{"factors":{"user":{"id":"kc:alice"}}}`)
	}
	put(http.StatusBadRequest)
	f.advance(2 * time.Hour)
	// Redis' own clock has not gone on: what it drops at this instant is dropped here.
	space, err := keys.NewSpace(keys.DefaultPrefix, f.store.Shards())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.redis.Client(t).Del(t.Context(), space.End("kc:s1")).Result(); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	put(http.StatusCreated)
}

// JWTs that an issuer has signed are no guesses, whatever is wrong with them, nor are those of a key that it
// has taken back.
func TestJWT_HonestUsersAreNoGuessers(t *testing.T) {
	f := newJWTFixture(t, "")
	now := f.now().Std().Unix()
	for name, changes := range map[string]map[string]any{
		"for another":        {"aud": "another-app"},
		"of the future":      {"iat": now + 60},
		"bound to a key":     {"cnf": map[string]any{"jkt": "x"}},
		"without a user":     {"sub": nil},
		"an odd session":     {"sid": 7},
		"an ID token":        {"at_hash": "x"},
		"a login too old":    {"auth_time": now - 91*24*3600},
		"an odd login":       {"auth_time": "x"},
		"an odd expiry":      {"exp": 1e15},
		"odd organizations":  {"org": []string{"a"}},
		"a user of no name":  {"sub": strings.Repeat("a", 300)},
		"of a later instant": {"nbf": now + 60},
	} {
		if r := f.do("", "GET", "/verify", "", "Authorization", "Bearer "+f.token(changes)); r.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if strings.Contains(f.logs.String(), "credential refused") {
			t.Fatalf("%s: %s", name, f.logs.String())
		}
	}
	old := f.token(nil)
	f.issuer.Rotate(oidctest.NewKey(t, "RS256"))
	f.good(f.token(nil)) // the new key is known
	f.verifies(old, 401, "invalid_jwt")
	if strings.Contains(f.logs.String(), "credential refused") {
		t.Error(f.logs.String())
	}
	parts := strings.Split(f.token(nil), ".")
	f.verifies(parts[0]+"."+parts[1]+"."+strings.Repeat("A", 342), 401, "invalid_jwt")
	if !strings.Contains(f.logs.String(), "credential refused") {
		t.Error("a signature that nobody made is no guess")
	}
}

// A JWT whose header is written on several lines is one all the same, and so is one whose organization is empty.
func TestJWT_OddForms(t *testing.T) {
	f := newJWTFixture(t, "")
	f.good(f.token(map[string]any{"org": ""}))
	f.good(f.issuer.SignIndented(f.claims(f.issuer, map[string]any{"sid": "s1"})))
}

// Strangers who make up names of keys, while the issuer says nothing, take no places of others.
func TestJWT_MadeUpKeysTakeNoPlaces(t *testing.T) {
	f := newJWTFixture(t, "", func(s *setup) { s.config.MaxInFlight = 8 })
	_, token := f.login(aliceVerified)
	f.good(token)
	f.issuer.Stall()
	defer f.issuer.Resume()
	other := oidctest.NewKey(t, "ES256")
	stop := make(chan struct{})
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer close(stop)
	for i := range 32 {
		strangers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				bad := other.Sign(t, f.claims(f.issuer, nil), func(h map[string]any) { h["kid"] = fmt.Sprint(i, "-", n) })
				_, _ = f.try("", "GET", "/verify", "", "Authorization", "Bearer "+bad)
			}
		})
	}
	for range 100 {
		f.good(token)
	}
}
