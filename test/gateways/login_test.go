package gateways

import (
	"maps"
	"net/http"
	"testing"
)

// loginPage is where the recipes send people.
const loginPage = "https://login.example/"

// redirecting returns the gateway of that name with the recipe for login pages.
func redirecting(t *testing.T, name string) gateway {
	t.Helper()
	switch name {
	case "nginx":
		return nginx{change("nginx/cloakroom.conf",
			before("server {\n", documented(t, "nginx login map", "")),
			after("        auth_request /_verify;\n", documented(t, "nginx login", "        ")),
			before("    location @unavailable {\n", documented(t, "nginx login location", "    ")))}
	case "HAProxy":
		return haproxy{change("haproxy/haproxy.cfg", after("    http-request lua.cloakroom\n", documented(t, "HAProxy login", "    ")))}
	case "Caddy":
		return caddy{change("caddy/Caddyfile", after("		forward_auth 127.0.0.1:8081 {\n", documented(t, "Caddy login", "			")))}
	case "Traefik":
		return traefik{edited(t, "traefik/dynamic.yaml", func(conf object) object {
			maps.Copy(at[object](t, conf, "http/middlewares/cloakroom/forwardAuth"), documentedYAML(t, "Traefik login"))
			return conf
		})}
	default:
		return oathkeeper{edited(t, "oathkeeper/rules.yaml", func(rules []any) []any {
			maps.Copy(rules[0].(object), documentedYAML(t, "Oathkeeper login"))
			return rules
		})}
	}
}

// loginIsShown checks that refusals of pages go to the login page, and nothing else does where the gateway can tell.
func (w *world) loginIsShown(t *testing.T) {
	t.Helper()
	v := w.ours.login(t, "page")
	const accept = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
	for _, r := range []request{{}, request{}.by(&visitor{token: "1.x"}), {method: http.MethodHead}} {
		r = r.with(accept)
		response, _, reached := w.send(t, r)
		if response.StatusCode != http.StatusFound || response.Header.Get("Location") != loginPage || len(reached) != 0 {
			t.Errorf("%q: status %d, to %q, it reached the application %d times", r.wire(), response.StatusCode, response.Header.Get("Location"), len(reached))
		}
	}
	scripts := http.StatusUnauthorized
	switch w.gateway.(type) {
	case traefik, oathkeeper:
		scripts = http.StatusFound
	}
	for _, r := range []request{
		{},
		request{method: http.MethodPost, body: 10}.with(accept),
		request{}.with("Accept: */*", "Sec-Fetch-Mode: cors"),
		request{}.with("Accept: application/json").by(&visitor{token: "1.x"}),
	} {
		response, _, reached := w.send(t, r)
		if response.StatusCode != scripts || len(reached) != 0 {
			t.Errorf("%q: status %d, it reached the application %d times", r.wire(), response.StatusCode, len(reached))
		}
		if scripts == http.StatusUnauthorized {
			w.tells(t, response)
		}
	}
	w.passes(t, request{}.with(accept).by(v), v)
	if _, ok := w.gateway.(oathkeeper); ok { // a 403 of verify is a 401 to it
		return
	}
	weak := w.ours.login(t, "unfit", func(session map[string]any) {
		factors := session["factors"].(map[string]any)
		factors["totp"] = factors["password"]
		delete(factors, "password")
	})
	if response, _, _ := w.send(t, request{}.with(accept).by(weak)); response.StatusCode != http.StatusForbidden {
		t.Errorf("a session that the policy refuses: status %d", response.StatusCode)
	}
}
