package gateways

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// share returns all of the gateways; with -short one in three, which are others from test to test and from run to run.
func share(t *testing.T, all []gateway) (some []gateway) {
	t.Helper()
	hasTurn := testdepth.OneIn(t, 3)
	for i, g := range all {
		if hasTurn(i + len(t.Name())) {
			some = append(some, g)
		}
	}
	return some
}

// forEach runs f before each gateway of the share at the same time.
func forEach(t *testing.T, all []gateway, f func(t *testing.T, g gateway)) {
	t.Helper()
	for _, g := range share(t, all) {
		t.Run(g.Name(), func(t *testing.T) {
			t.Parallel()
			f(t, g)
		})
	}
}

// forged is what no application may ever see in a header.
const forged = "forged-by-the-client"

// passes sends r and checks that it passes, as v's.
func (w *world) passes(t *testing.T, r request, v *visitor) {
	t.Helper()
	response, body, reached := w.send(t, r)
	if response.StatusCode != http.StatusOK {
		t.Errorf("%q: status %d: %s", r.wire(), response.StatusCode, body)
		return
	}
	w.passed(t, r, v, reached)
	for _, s := range reached {
		for name := range s.forged() {
			t.Errorf("the application saw %s: %s", name, forged)
		}
	}
}

// refuses sends r and checks that it is refused, and that the application sees nothing.
func (w *world) refuses(t *testing.T, r request) {
	t.Helper()
	if response, _, reached := w.send(t, r); response.StatusCode/100 != 4 || len(reached) != 0 {
		t.Errorf("%q: status %d, it reached the application %d times", r.wire(), response.StatusCode, len(reached))
	}
}

// othersNames are headers by which others than Cloakroom tell applications of users: oauth2-proxy, Authelia, Kubernetes' proxies.
// docs/gateways.md has the list.
var othersNames = []string{
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Roles",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Access-Token",
	"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name",
	"X-Remote-User", "X-Remote-Group", "X-Remote-Uid",
}

func TestSpoofing_ForwardedHeadersAndDeadlines(t *testing.T) {
	forEach(t, gateways, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		verify := startRecorder(t, w.ours.verify)
		w.addr = g.Start(t, verify.addr, w.app.addr)
		w.app.take()
		verify.take()
		v := w.ours.login(t, "forwarded")
		r := request{target: "/private"}.by(v).with(
			"X-Forwarded-Method: "+forged, "X-Forwarded-Uri: /"+forged, "X-Forwarded-Host: "+forged, "X-Forwarded-Proto: "+forged,
			"X-Forwarded-For: "+forged, "X-Forwarded-Port: "+forged, "X-Forwarded-Prefix: /"+forged, "X-Forwarded-Server: "+forged, "X-Forwarded-Ssl: "+forged,
			"X-Real-IP: "+forged, "Forwarded: for="+forged, "X-Original-URI: /"+forged, "X-Envoy-Expected-Rq-Timeout-Ms: 1",
			"X-Forwarded-Client-Cert: "+forged, "X-Forwarded-Scheme: "+forged, "X-Forwarded-By: "+forged, "X-Forwarded-Path: /"+forged,
			"X-Original-Method: "+forged, "X-Original-Host: "+forged, "X-Original-Forwarded-For: "+forged, "Proxy: "+forged)
		for _, name := range othersNames {
			r = r.with(name + ": " + forged)
		}
		switch g.(type) {
		case haproxy, caddy, envoy: // the others know no patterns
			r = r.with("X-Remote-Extra-Scopes: "+forged, "X-Auth-Request-Other: "+forged, "Remote-Other: "+forged)
		}
		if _, ok := g.(oathkeeper); !ok { // which cannot drop them
			r = r.with("X-Original-URL: /"+forged, "X-Rewrite-URL: /"+forged)
		}
		w.passes(t, r, v)
		asked, _ := verify.take()
		if len(asked) == 0 {
			t.Fatal("verify was not asked")
		}
		if ms := asked[0].Header.Get("X-Envoy-Expected-Rq-Timeout-Ms"); ms != "" && ms != "200" {
			t.Errorf("verify was told a deadline of %s ms", ms)
		}
		client := lastClient(asked[0].Header)
		if _, ok := g.(oathkeeper); ok { // it does not tell
			if client != "" {
				t.Errorf("verify was told the client %q", client)
			}
		} else if ip := net.ParseIP(client); !ip.IsLoopback() {
			t.Errorf("verify was told the client %q", client)
		}
		r.lines = slices.Clone(r.lines[1:]) // all but the cookie
		w.refuses(t, r)
	})
}

// lastClient returns the last address in X-Forwarded-For that is not Envoy's own, as verify does if it trusts that. It is "" if
// there is none.
func lastClient(h http.Header) string {
	all := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	last := strings.TrimSpace(all[len(all)-1])
	if last == envoysAddress && len(all) > 1 {
		return strings.TrimSpace(all[len(all)-2])
	}
	return last
}

// What "Connection" names is for the next hop only: a proxy that obeys a client there drops what we have set.
func TestSpoofing_ConnectionDoesNotRemoveIdentity(t *testing.T) {
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		v := w.ours.login(t, "hop")
		for _, name := range identityNames {
			for _, lines := range [][]string{{"Connection: close, " + name}, {"Connection: keep-alive", "Connection: " + strings.ToLower(name)}} {
				r := request{}.by(v).with(lines...)
				response, _, reached := w.send(t, r)
				if response.StatusCode != http.StatusOK {
					t.Errorf("%q: status %d", r.wire(), response.StatusCode)
					continue
				}
				w.passed(t, r, v, reached)
				for _, s := range reached { // nor does the next hop, which may be a proxy before the application
					if c := strings.Join(s.header.Values("Connection"), ","); strings.Contains(strings.ToLower(c), "x-session") {
						t.Errorf("%q: the application is told Connection: %s", r.wire(), c)
					}
				}
			}
		}
	})
}

func TestSpoofing_TwoCredentials(t *testing.T) {
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		a, b := w.ours.login(t, "a"), w.ours.login(t, "b")
		cookie := func(v *visitor) string { return "session_token=" + v.token }
		bearer := func(v *visitor) string { return "Authorization: Bearer " + v.token }
		none := &visitor{token: "1." + strings.Repeat("a", 43)}

		w.refuses(t, request{lines: []string{"Cookie: " + cookie(a) + "; " + cookie(b)}})
		w.refuses(t, request{lines: []string{"Cookie: " + cookie(none) + "; " + cookie(a)}})
		w.passes(t, request{lines: []string{"Cookie: " + cookie(a) + "; " + cookie(a)}}, a)
		// Of several lines a gateway may hand us the first alone, and then that one counts; never one that we have not seen.
		w.refusesOrKnows(t, request{lines: []string{"Cookie: " + cookie(a), "Cookie: " + cookie(b)}}, a)
		w.refusesOrKnows(t, request{lines: []string{bearer(a), bearer(b)}}, a)
		w.refuses(t, request{lines: []string{bearer(none), bearer(a)}})
		w.refuses(t, request{lines: []string{"Cookie: " + cookie(none), "Cookie: " + cookie(a)}})
		// A credential that is there and wrong does not let the next one decide.
		w.refuses(t, request{}.bearer(none).by(a))
		w.passes(t, request{}.bearer(a).by(none), a)
		w.refuses(t, request{lines: []string{"Authorization: Bearer " + a.token + ", Bearer " + b.token}})
	})
}

// refusesOrKnows sends r and checks that it is refused, or passes as v's.
func (w *world) refusesOrKnows(t *testing.T, r request, v *visitor) {
	t.Helper()
	response, _, reached := w.send(t, r)
	switch {
	case response.StatusCode/100 == 4 && len(reached) == 0:
	case response.StatusCode == http.StatusOK && len(reached) == 1:
		w.known(t, v, reached[0])
	default:
		t.Errorf("%q: status %d, it reached the application %d times", r.wire(), response.StatusCode, len(reached))
	}
}

// lenient are targets of a client that would like another policy.
var lenient = []string{
	"/p/lax", "/p/lax/", "/verify/p/lax", "/verify/p/lax?p=lax", "/?policy=lax&p=lax", "/x?/verify/p/lax", "/%2e%2e/p/lax", "/x/%2e%2e/%2e%2e/p/lax",
	"/verify%2Fp%2Flax", "/./p/lax", "//p/lax", "/x/../p/lax", "/../p/lax", "/verify/p/strict/../lax", "/_verify", "/verify", "/_verify/p/lax", "/verify/",
}

func TestSpoofing_PoliciesInThePath(t *testing.T) {
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, g, "--verify-default-policy", "strict")
		v := w.ours.login(t, "path") // enough for lax
		if status := w.asks(t, request{}.by(v)); status != http.StatusForbidden {
			t.Fatalf("verify answers %d", status)
		}
		for _, target := range lenient {
			w.refuses(t, request{target: target}.by(v))
			w.refuses(t, request{target: target})
		}
	})
}

// On the API listener a path can name a policy, and Envoy hands us its clients' paths.
func TestSpoofing_PoliciesInThePathOnTheAPIListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t, envoy{})
	v, strict := w.ours.login(t, "lax"), w.ours.login(t, "strict", func(session map[string]any) {
		factors := session["factors"].(map[string]any)
		factors["webAuthN"] = map[string]any{"verifiedAt": factors["password"].(map[string]any)["verifiedAt"], "userVerified": true}
	})
	strict.factors("password,webAuthN")
	for _, prefix := range []string{"/verify/p/strict", "/verify/p/strict/"} {
		w.addr = envoy{prefix}.Start(t, w.ours.api, w.app.addr)
		for _, target := range lenient {
			w.refuses(t, request{target: target}.by(v))
			w.passes(t, request{target: target}.by(strict), strict)
		}
	}
	// Without a policy of its own the gateway has the default one; a client can only choose more.
	w.addr = envoy{}.Start(t, w.ours.api, w.app.addr)
	w.refuses(t, request{target: "/p/strict"}.by(v))
	w.refuses(t, request{target: "/p/unknown"}.by(strict))
	w.passes(t, request{target: "/p/lax"}.by(v), v)
}

// oddly are lines that some readers take for identity headers, or for the end of one.
var oddly = []string{
	"X-Session-User : " + forged, "X-Session-User\t: " + forged, "X-Session-User:" + forged, "X-Session-User:\t" + forged + "\t", "X-Padding: 1\r\n X-Session-User: " + forged,
	"X-Session-User:\r\n " + forged, "X-Padding: 1\nX-Session-User: " + forged, "X-Padding: 1\rX-Session-User: " + forged, "X-Session-User: " + forged + "\x00",
	"X Session User: " + forged, "X-Session-User;: " + forged, ":X-Session-User: " + forged, "X\u2010Session-User: " + forged,
	"Trailer: X-Session-User", "TE: trailers, X-Session-User", "Keep-Alive: X-Session-User", "Proxy-Connection: X-Session-User", "Upgrade: X-Session-User",
}

// However a client writes its headers, the application sees the identity that verify has told, or nothing.
func TestSpoofing_OddLines(t *testing.T) {
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		v := w.ours.login(t, "odd")
		for _, line := range oddly {
			for _, r := range []request{request{}.with(line).by(v), request{}.by(v).with(line)} {
				response, _, reached := w.send(t, r)
				if (response.StatusCode == http.StatusOK) != (len(reached) == 1) {
					t.Errorf("%q: status %d, it reached the application %d times", line, response.StatusCode, len(reached))
				}
				for _, s := range reached {
					w.known(t, v, s)
				}
			}
			w.refuses(t, request{}.with(line))
		}
	})
}

// A name that a user has chosen is text, also for a gateway whose configuration has such expressions.
func TestSpoofing_NamesAreNotExpressions(t *testing.T) {
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		const name = `{env.HOME} {http.request.host} %[src] $host ${host} {{ .Subject }} "a,b";\`
		v := w.ours.login(t, "expression", func(session map[string]any) {
			session["factors"].(map[string]any)["user"].(map[string]any)["loginName"] = name
		})
		v.named(name, strings.ReplaceAll(name, "%", "%25"))
		w.passes(t, request{}.by(v), v)
	})
}
