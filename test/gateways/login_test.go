package gateways

import (
	"maps"
	"net/http"
	"testing"
)

// loginPage is where the recipes of docs/gateways.md send people.
const loginPage = "https://login.example/"

// redirecting returns the gateways with the recipe for login pages.
func redirecting(t *testing.T) []gateway {
	t.Helper()
	return []gateway{
		nginx{recipeFor(t, "nginx/cloakroom.conf", "        auth_request /_verify;\n", documented(t, "nginx login", "        "))},
		haproxy{recipeFor(t, "haproxy/haproxy.cfg", "    http-request lua.cloakroom\n", documented(t, "HAProxy login", "    "))},
		caddy{recipeFor(t, "caddy/Caddyfile", "		forward_auth 127.0.0.1:8081 {\n", documented(t, "Caddy login", "			"))},
		traefik{edited(t, "traefik/dynamic.yaml", func(conf object) object {
			maps.Copy(at[object](t, conf, "http/middlewares/cloakroom/forwardAuth"), documentedYAML(t, "Traefik login"))
			return conf
		})},
		oathkeeper{edited(t, "oathkeeper/rules.yaml", func(rules []any) []any {
			maps.Copy(rules[0].(object), documentedYAML(t, "Oathkeeper login"))
			return rules
		})},
	}
}

// loginIsShown checks that refusals go to the login page, and nothing else does.
func (w *world) loginIsShown(t *testing.T) {
	t.Helper()
	v := w.ours.login(t, "page")
	for _, r := range []request{{}, request{}.by(&visitor{token: "1.x"}), {method: http.MethodHead}} {
		response, _, reached := w.send(t, r)
		if response.StatusCode != http.StatusFound || response.Header.Get("Location") != loginPage || len(reached) != 0 {
			t.Errorf("%q: status %d, to %q, it reached the application %d times", r.wire(), response.StatusCode, response.Header.Get("Location"), len(reached))
		}
	}
	w.passes(t, request{}.by(v), v)
	if _, ok := w.gateway.(oathkeeper); ok { // a 403 of verify is a 401 to it
		return
	}
	weak := w.ours.login(t, "unfit", func(session map[string]any) {
		factors := session["factors"].(map[string]any)
		factors["totp"] = factors["password"]
		delete(factors, "password")
	})
	if response, _, _ := w.send(t, request{}.by(weak)); response.StatusCode != http.StatusForbidden {
		t.Errorf("a session that the policy refuses: status %d", response.StatusCode)
	}
}
