package gateways

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// conformance is a case of the gateway contract.
type conformance struct {
	name    string
	outcome outcome
	// prepare returns the request, and whose it is. What it breaks is mended at the end of t.
	prepare func(t *testing.T, w *world) (request, *visitor)
}

// conformances are the cases, in the order of the table. Each gateway runs all of them.
var conformances = []conformance{
	{"good, by cookie", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "cookie")
		return request{}.by(v), v
	}},
	{"good, by bearer token", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "bearer")
		return request{}.bearer(v), v
	}},
	{"no credential", unauthorized, func(*testing.T, *world) (request, *visitor) { return request{}, nil }},
	{"an unknown token", unauthorized, func(t *testing.T, w *world) (request, *visitor) {
		return request{}.by(&visitor{token: "1." + strings.Repeat("a", 43)}), nil
	}},
	{"expired", unauthorized, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "expired", func(session map[string]any) {
			session["expirationDate"] = time.Now().Add(200 * time.Millisecond).UTC().Format(time.RFC3339Nano)
		})
		if !eventually.Within(patience, func() bool { return w.asks(t, request{}.by(v)) != http.StatusOK }) {
			t.Error("it does not expire")
		}
		return request{}.by(v), nil
	}},
	{"revoked just now", unauthorized, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "revoked")
		w.passes(t, request{}.by(v), v)
		w.ours.logout(t, v)
		return request{}.by(v), nil
	}},
	{"a user who has proven nothing", unauthorized, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "unproven", func(session map[string]any) {
			delete(session["factors"].(map[string]any), "password")
		})
		return request{}.by(v), nil
	}},
	{"good, but not for the default policy", forbidden, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "otherwise", func(session map[string]any) {
			factors := session["factors"].(map[string]any)
			factors["totp"] = factors["password"]
			delete(factors, "password")
		})
		return request{}.by(v), nil
	}},
	{"brings its own `X-Session-User`", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "forger")
		return request{}.bearer(v).with("X-Session-User: admin", "x-session-org: 1"), v
	}},
	{"8 KiB of cookies", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "cookies")
		cookies := "Cookie: session_token=" + v.token
		for len(cookies) < 8<<10 {
			cookies += "; c" + strings.Repeat("x", 100) + "=" + strings.Repeat("y", 100)
		}
		return request{lines: []string{cookies}}, v
	}},
	{"24 KiB of headers", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "headers")
		r := request{}.by(v)
		for i := range 24 {
			r = r.with(fmt.Sprintf("X-Long-%d: %s", i, strings.Repeat("x", 1<<10)))
		}
		return r, v
	}},
	{"POST with 8 MiB", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "post")
		return request{method: http.MethodPost, body: 8 << 20}.by(v), v
	}},
	{"POST in chunks", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "chunks")
		return request{method: http.MethodPost, body: 100 << 10, chunked: true}.by(v), v
	}},
	{"POST with 1 MiB, no credential", unauthorized, func(*testing.T, *world) (request, *visitor) {
		return request{method: http.MethodPost, body: 1 << 20}, nil
	}},
	{"HEAD", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "head")
		return request{method: http.MethodHead}.by(v), v
	}},
	{"`/a%2Fb//c/?q=%2F&r=1`", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "path")
		return request{target: "/a%2Fb//c/?q=%2F&r=1", seenAs: map[string]string{
			"Traefik": "/a%2Fb/c/?q=%2F&r=1", "Oathkeeper": "/a/b/c?q=%2F&r=1", "APISIX": "/a/b/c/?q=%2F&r=1",
		}}.by(v), v
	}},
	{"`/a/../b?q=1;r=2&s=3`", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "query")
		return request{target: "/a/../b?q=1;r=2&s=3", seenAs: map[string]string{
			"Traefik": "/b?q=1&r=2&s=3", "Oathkeeper": "/b?s=3", "APISIX": "/b?q=1;r=2&s=3",
		}}.by(v), v
	}},
	{"by `X-Session-Token`", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "header")
		return request{}.with("X-Session-Token: " + v.token), v
	}},
	{"names in Unicode", allowed, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "unicode", func(session map[string]any) {
			user := session["factors"].(map[string]any)["user"].(map[string]any)
			user["loginName"], user["displayName"] = "名前 ü%\u00a0🧥", "名前"
		})
		v.named("名前 ü%\u00a0🧥", "%E5%90%8D%E5%89%8D %C3%BC%25%C2%A0%F0%9F%A7%A5")
		return request{}.bearer(v), v
	}},
	{"names as long as can be", allowed, func(t *testing.T, w *world) (request, *visitor) {
		long := strings.Repeat("名", 113)
		id := strings.Repeat("i", 128)
		v := w.ours.login(t, id, func(session map[string]any) {
			user := session["factors"].(map[string]any)["user"].(map[string]any)
			user["id"], user["loginName"], user["organizationId"] = long, long, long
		})
		encoded := strings.Repeat("%E5%90%8D", 113)
		for _, name := range []string{"x-session-user", "x-session-login", "x-session-org"} {
			v.header[name] = encoded
		}
		v.json = map[string]string{"x-session-id": id, "x-session-user": long} // the body has no room for more
		return request{}.bearer(v), v
	}},
	{"Cloakroom 300 ms late", late, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "late")
		w.verify.Delay(300 * time.Millisecond)
		t.Cleanup(func() { w.verify.Delay(0) })
		return request{}.bearer(v), v
	}},
	{"Cloakroom down", down, func(t *testing.T, w *world) (request, *visitor) {
		v := w.ours.login(t, "down")
		w.verify.Refuse(true)
		w.verify.CutAll()
		t.Cleanup(func() { w.verify.Refuse(false) })
		return request{}.by(v), nil
	}},
	{"Redis down", unavailable, func(t *testing.T, w *world) (request, *visitor) {
		v := w.other.login(t, "redis-down") // ours has no copy of it
		w.redis.Refuse(true)
		w.redis.CutAll()
		t.Cleanup(func() {
			w.redis.Refuse(false)
			w.recovered(t, v)
		})
		return request{}.by(v), nil
	}},
}
