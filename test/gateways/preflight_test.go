package gateways

import (
	"maps"
	"net/http"
	"testing"
)

// preflighting returns the gateways with the recipe for preflights.
func preflighting(t *testing.T) []gateway {
	t.Helper()
	return []gateway{
		nginx{&recipe{"nginx/cloakroom.conf", []string{
			"server {\n", documented(t, "nginx preflight map", "") + "server {\n",
			"    location = /_verify {\n", "    location = /_verify {\n" + documented(t, "nginx preflight", "        "),
		}}},
		haproxy{&recipe{"haproxy/haproxy.cfg", []string{
			"    http-request lua.cloakroom\n", documented(t, "HAProxy preflight", "    "),
		}}},
		caddy{&recipe{"caddy/Caddyfile", []string{
			"		forward_auth 127.0.0.1:8081 {\n", documented(t, "Caddy preflight", "		") + "		forward_auth 127.0.0.1:8081 {\n",
		}}},
		traefik{edited(t, "traefik/dynamic.yaml", func(conf object) object {
			maps.Copy(at[object](t, conf, "http/middlewares"), documentedYAML(t, "Traefik preflight"))
			at[object](t, conf, "http/routers/application")["middlewares"] = []any{"ours", "cors", "cloakroom"}
			return conf
		})},
		oathkeeper{edited(t, "oathkeeper/config.yaml", func(conf object) object {
			maps.Copy(at[object](t, conf, "serve/proxy"), documentedYAML(t, "Oathkeeper preflight"))
			return conf
		})},
	}
}

// preflightsPass checks that a preflight needs no credential and has no identity, and that nothing else passes because of it.
func (w *world) preflightsPass(t *testing.T) {
	t.Helper()
	answers := false // by itself
	switch w.gateway.(type) {
	case traefik, oathkeeper:
		answers = true
	}
	v := w.ours.login(t, "preflight")
	origin, method := "Origin: https://pages.example", "Access-Control-Request-Method: POST"
	for _, r := range []request{
		{method: http.MethodOptions, lines: []string{origin, method, "X-Session-User: " + forged, "X-Session-Stale: " + forged}},
		request{method: http.MethodOptions}.with(origin, method).by(v),
	} {
		response, _, reached := w.send(t, r)
		if response.StatusCode/100 != 2 {
			t.Errorf("%q: status %d", r.wire(), response.StatusCode)
		}
		if answers {
			if len(reached) != 0 || response.Header.Get("Access-Control-Allow-Origin") != "https://pages.example" {
				t.Errorf("%q: it reached the application %d times, and the answer has %v", r.wire(), len(reached), response.Header)
			}
			continue
		}
		if len(reached) != 1 {
			t.Fatalf("%q reached the application %d times", r.wire(), len(reached))
		}
		w.known(t, &visitor{}, reached[0])
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
	// Without Origin it is no preflight; who answers by itself may take it for one.
	if response, _, reached := w.send(t, request{method: http.MethodOptions, lines: []string{method}}); len(reached) != 0 || !answers && response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without Origin: status %d, it reached the application %d times", response.StatusCode, len(reached))
	}
	w.passes(t, request{method: http.MethodPost, body: 10}.with(origin).by(v), v)
	w.passes(t, request{method: http.MethodOptions}.by(v), v)
}
