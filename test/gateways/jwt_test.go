package gateways

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// jwtVisitor is who brings a JWT of an issuer: the user "user-ID" of the issuer kc.
func jwtVisitor(issuer *oidctest.Issuer, id string, more map[string]any) *visitor {
	now := time.Now().UTC().Truncate(time.Second)
	expires := now.Add(time.Hour)
	claims := map[string]any{
		"iss": issuer.URL, "aud": "shop", "sub": "user-" + id, "sid": id, "iat": now.Unix(), "auth_time": now.Unix(), "exp": expires.Unix(),
		"org": "org-" + id, "preferred_username": "jürgen@" + id, "amr": []string{"pwd"},
	}
	maps.Copy(claims, more)
	v := &visitor{id: id, token: issuer.Sign(claims), header: map[string]string{
		"x-session-id": "kc:" + id, "x-session-user": "kc:user-" + id, "x-session-org": "org-" + id, "x-session-factors": "password",
		"x-session-auth-time": now.Format(time.RFC3339), "x-session-expires": expires.Format(time.RFC3339),
	}}
	v.json = maps.Clone(v.header)
	v.json["x-session-auth-time"], v.json["x-session-expires"] = strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(expires.Unix(), 10)
	v.named("jürgen@"+id, "j%C3%BCrgen@"+id)
	return v
}

// issuersFile is a file for --auth-issuers-file with one issuer whose JWTs gateways bring.
func issuersFile(t *testing.T, issuer *oidctest.Issuer) string {
	t.Helper()
	return testfile.Write(t, strings.ReplaceAll(`
issuers:
  - name: kc
    issuer: ISSUER
    audience: [shop]
    logout: {audience: [gateway]}
    verify: {claims: {organization: org}}
`, "ISSUER", issuer.URL))
}

// Each gateway, with its file of deploy/ as it is, lets a JWT pass until its session or its user is logged out at the issuer.
func TestJWT(t *testing.T) {
	issuer := oidctest.Start(t)
	file := issuersFile(t, issuer)
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, g, "--auth-issuers-file", file, "--verify-accept", "session,jwt")
		v, other := jwtVisitor(issuer, "s1", nil), jwtVisitor(issuer, "s2", map[string]any{"sub": "user-s1"})
		other.header["x-session-user"], other.json["x-session-user"] = "kc:user-s1", "kc:user-s1"
		eventually.Holds(t, "the issuer's keys are there", func() bool { return w.asks(t, request{}.bearer(v)) == http.StatusOK })
		passes := func(v *visitor) {
			t.Helper()
			r := request{}.bearer(v)
			response, body, reached := w.send(t, r)
			if response.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", response.StatusCode, body)
			}
			w.passed(t, r, v, reached)
		}
		refused := func(v *visitor) {
			t.Helper()
			response, _, reached := w.send(t, request{}.bearer(v))
			if response.StatusCode != g.Status(unauthorized) || len(reached) != 0 {
				t.Errorf("a JWT that has ended: %d, it reached the application %d times", response.StatusCode, len(reached))
			}
		}
		logout := func(claims map[string]any) {
			t.Helper()
			maps.Copy(claims, map[string]any{
				"iss": issuer.URL, "aud": "gateway", "iat": time.Now().Unix(), "jti": fmt.Sprint(time.Now().UnixNano()),
				"events": map[string]any{oidctest.LogoutEvent: map[string]any{}},
			})
			answer, err := http.PostForm("http://"+w.ours.api+"/backchannel-logout", url.Values{"logout_token": {issuer.Sign(claims)}})
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("logout: %+v, %v", answer, err)
			}
			_ = answer.Body.Close()
		}
		passes(v)
		passes(other)
		passes(w.other.login(t, "stored")) // a session token goes on being one
		logout(map[string]any{"sub": "user-s1", "sid": "s1"})
		refused(v)
		passes(other)
		logout(map[string]any{"sub": "user-s1"})
		refused(other)
		refused(jwtVisitor(issuer, "s3", map[string]any{"aud": "another"}))
	})
}
