package gateways

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// preflighting returns the gateway of that name with the recipe for preflights.
func preflighting(t *testing.T, name string) gateway {
	t.Helper()
	switch name {
	case "nginx":
		return nginx{change("nginx/cloakroom.conf",
			before("server {\n", documented(t, "nginx preflight map", "")),
			before("        auth_request /_verify;\n", documented(t, "nginx preflight", "        ")))}
	case "HAProxy":
		return haproxy{change("haproxy/haproxy.cfg", before("    http-request lua.cloakroom\n", documented(t, "HAProxy preflight", "    ")))}
	case "Caddy":
		return caddy{change("caddy/Caddyfile", before("		forward_auth 127.0.0.1:8081 {\n", documented(t, "Caddy preflight", "		")))}
	case "Traefik":
		return traefik{edited(t, "traefik/dynamic.yaml", func(conf object) object {
			maps.Copy(at[object](t, conf, "http/middlewares"), documentedYAML(t, "Traefik preflight"))
			at[object](t, conf, "http/routers/application")["middlewares"] = []any{"ours", "cors", "cloakroom"}
			return conf
		})}
	default:
		return oathkeeper{edited(t, "oathkeeper/config.yaml", func(conf object) object {
			maps.Copy(at[object](t, conf, "serve/proxy"), documentedYAML(t, "Oathkeeper preflight"))
			return conf
		})}
	}
}

// preflightsAreAnswered checks that the gateway answers a preflight without a credential, that the application sees none,
// whatever comes with it, and that nothing else passes because of the recipe.
func (w *world) preflightsAreAnswered(t *testing.T) {
	t.Helper()
	v := w.ours.login(t, "preflight")
	const page = "https://pages.example"
	origin, method := "Origin: "+page, "Access-Control-Request-Method: POST"
	preflight := request{method: http.MethodOptions}.with(origin, method)
	upgrade := preflight.with(handshake("websocket").lines...)
	body, chunks := preflight, preflight
	body.body, chunks.body, chunks.chunked = 9, 9, true
	for _, r := range []request{
		preflight, preflight.by(v), upgrade, body, chunks,
		preflight.with("X-Forwarded-Uri: /"+forged, "X-Forwarded-Method: "+forged, "X-HTTP-Method-Override: POST"),
	} {
		response, _, reached := w.send(t, r)
		if response.StatusCode/100 != 2 || len(reached) != 0 {
			t.Errorf("%q: status %d, it reached the application %d times", r.wire(), response.StatusCode, len(reached))
		}
		if h := response.Header; h.Get("Access-Control-Allow-Origin") != page || !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
			t.Errorf("%q: the answer has %v", r.wire(), h)
		}
	}
	for _, r := range []request{
		{},
		{lines: []string{origin, method}},
		{method: http.MethodPost, lines: []string{origin, method, "X-HTTP-Method-Override: OPTIONS"}},
		{method: http.MethodOptions},
		{method: http.MethodOptions, lines: []string{origin}},
	} {
		w.refuses(t, r)
	}
	// No preflight, or not of that page: Traefik and Oathkeeper answer some of these, too, and allow nothing.
	for _, lines := range [][]string{{method}, {"Origin: https://pages.example.evil.example", method}, {"Origin: https://pages-example", method}} {
		response, _, reached := w.send(t, request{method: http.MethodOptions, lines: lines})
		if response.Header.Get("Access-Control-Allow-Origin") != "" || len(reached) != 0 {
			t.Errorf("%q: status %d, the answer has %v, it reached the application %d times", lines, response.StatusCode, response.Header, len(reached))
		}
	}
	w.passes(t, request{method: http.MethodPost, body: 10}.with(origin).by(v), v)
	w.passes(t, request{method: http.MethodOptions}.by(v), v)
}
