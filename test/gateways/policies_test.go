package gateways

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// strictByDefault returns the gateway of that name with the recipe for policies by path: all but /public is strict. api has
// the place of 127.0.0.1:8080 in it.
func strictByDefault(t *testing.T, name, api string) gateway {
	t.Helper()
	switch name {
	case "nginx":
		return nginx{change("nginx/cloakroom.conf",
			before("server {\n", documented(t, "nginx policies", "")),
			[]string{"proxy_pass http://cloakroom/verify;", "proxy_pass http://cloakroom$policy;"})}
	case "HAProxy":
		return haproxy{change("haproxy/haproxy.cfg", before("    http-request lua.cloakroom\n", documented(t, "HAProxy policies", "    ")))}
	case "Caddy":
		return caddy{change("caddy/Caddyfile",
			before("		forward_auth 127.0.0.1:8081 {\n", documented(t, "Caddy policies", "		")),
			[]string{"uri /verify\n", "uri {vars.policy}\n"})}
	case "Traefik":
		return traefik{edited(t, "traefik/dynamic.yaml", func(conf object) object {
			traefikStrict(t, conf)
			at[object](t, conf, "http/routers/application")["middlewares"] = []any{"ours", "strict"}
			maps.Copy(at[object](t, conf, "http/routers"), documentedYAML(t, "Traefik policies"))
			return conf
		})}
	default:
		rules := documentedYAML(t, "Oathkeeper policies")
		config := at[object](t, rules, "strict/config")
		config["check_session_url"] = strings.Replace(at[string](t, config, "check_session_url"), "127.0.0.1:8080", api, 1)
		return oathkeeper{oathkeeperRules(t, rules)}
	}
}

// strictByPrefix returns the gateway of that name as the document warns of: /admin is strict, all else is not.
func strictByPrefix(t *testing.T, name, api string) gateway {
	t.Helper()
	switch name {
	case "nginx":
		return nginx{change("nginx/cloakroom.conf", before("    location / {\n",
			nginxLocation(t, "    location / {\n", "location / {", "location /admin/ {", "/_verify;", "/_strict;")+
				nginxLocation(t, "    location = /_verify {\n", "/_verify {", "/_strict {", "cloakroom/verify", "cloakroom/verify/p/strict")))}
	case "HAProxy":
		return haproxy{change("haproxy/haproxy.cfg", before("    http-request lua.cloakroom\n",
			"    http-request set-var(txn.verify) str(/verify/p/strict) if { path_beg /admin/ }\n"))}
	case "Caddy":
		return caddy{change("caddy/Caddyfile",
			before("		forward_auth 127.0.0.1:8081 {\n", "		vars policy /verify\n		@admin path /admin/*\n		vars @admin policy /verify/p/strict\n"),
			[]string{"uri /verify\n", "uri {vars.policy}\n"})}
	case "Traefik":
		return traefik{edited(t, "traefik/dynamic.yaml", func(conf object) object {
			traefikStrict(t, conf)
			at[object](t, conf, "http/routers")["admin"] = object{
				"rule": "PathPrefix(`/admin/`)", "entryPoints": []any{"web"}, "middlewares": []any{"ours", "strict"}, "service": "application",
			}
			return conf
		})}
	default:
		strict := object{"check_session_url": "http://" + api + "/verify/p/strict", "preserve_path": true}
		return oathkeeper{oathkeeperRules(t, object{
			"strict": object{"url": "http://<[^/]*>/admin/<.*>", "config": strict}, "public": object{"url": "http://<[^/]*>/<(?!admin/).*>"},
		})}
	}
}

// nginxLocation returns the location of deploy/nginx that begins with first, with each old replaced.
func nginxLocation(t *testing.T, first string, oldNew ...string) string {
	t.Helper()
	content, err := os.ReadFile(deploy + "nginx/cloakroom.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(content), first)
	body, _, closed := strings.Cut(rest, "\n    }\n")
	if !ok || !closed {
		t.Fatalf("deploy/nginx has no %q", first)
	}
	return strings.NewReplacer(oldNew...).Replace(first + body + "\n    }\n")
}

// traefikStrict adds the middleware strict.
func traefikStrict(t *testing.T, conf object) {
	t.Helper()
	auth := maps.Clone(at[object](t, conf, "http/middlewares/cloakroom/forwardAuth"))
	auth["address"] = at[string](t, auth, "address") + "/p/strict"
	at[object](t, conf, "http/middlewares")["strict"] = object{"forwardAuth": auth}
}

// oathkeeperRules makes of the rule several, by their IDs: each with the url, and with the config in its authenticators.
func oathkeeperRules(t *testing.T, byID object) *recipe {
	t.Helper()
	return edited(t, "oathkeeper/rules.yaml", func(rules []any) []any {
		var all []any
		for id, with := range byID {
			rule := maps.Clone(at[object](t, rules, "0"))
			rule["id"] = id
			rule["match"] = object{"url": at[string](t, with, "url"), "methods": at[[]any](t, rule, "match/methods")}
			var authenticators []any
			for _, named := range at[[]any](t, rule, "authenticators") {
				config := object{}
				for _, from := range []any{with, named} {
					some, _ := from.(object)["config"].(object)
					maps.Copy(config, some)
				}
				authenticators = append(authenticators, object{"handler": at[string](t, named, "handler"), "config": config})
			}
			rule["authenticators"] = authenticators
			all = append(all, rule)
		}
		return all
	})
}

// sly are targets that are /admin/x to some application.
var sly = []string{
	"/admin/x", "/%2Fadmin/x", "/x%2f..%2fadmin/x", "/a%2f../admin/x", "//admin/x", "/ADMIN/x", "/admin;a=b/x", "/%61dmin/x", "/./admin/x", "/x/../admin/x",
	"/%2e/admin/x", "/\\admin/x", "/%5cadmin/x", "/%2561dmin/x", "http://" + clientHost + "/admin/x", "http://" + clientHost + "/public/../admin/x",
	"/public/../admin/x", "/public/%2e%2e/admin/x", "/public/.%2e/admin/x", "/public%2f..%2fadmin/x", "/public/..%2fadmin/x", "/public/..%5cadmin/x",
	"/public/..\\admin/x", "/public/..;/admin/x", "/public;/../admin/x", "/public/..;a=b/admin/x", "/public/a//../../admin/x", "/public/%252e%252e/admin/x",
	"/public/..%252fadmin/x", "/public/a/../../admin/x", "/public/%2e%2e%2fadmin/x", "/admin/../public/x", "/admin/public/x", "/admin%2fpublic", "/admin/x?/public",
	"/public/..%c0%afadmin/x", "/%2e%2e/admin/x", "/public/..%00/../admin/x", "/public/%0a/../../admin/x", "/public/../admin/x?a=/public", "/x//..//admin/x",
}

// readAsAdmin says whether some application takes a target for one below /admin: one that decodes it, even twice, that takes \ for
// a slash, leaves out what follows a semicolon, makes one of two slashes, resolves dots, or has no case.
func readAsAdmin(target string) bool {
	target, _, _ = strings.Cut(target, "?")
	target = strings.TrimPrefix(target, "http://"+clientHost)
	for range 3 {
		for _, p := range []string{target, regexp.MustCompile(`;[^/\\]*`).ReplaceAllString(target, "")} {
			p = strings.ToLower(strings.ReplaceAll(p, `\`, "/"))
			for _, p := range []string{p, path.Clean(p), regexp.MustCompile("//+").ReplaceAllString(p, "/")} {
				if strings.HasPrefix(p+"/", "/admin/") {
					return true
				}
			}
		}
		if decoded, err := url.PathUnescape(target); err == nil {
			target = decoded
		}
	}
	return false
}

// twoSessions returns a session that has only a password, and one that is enough for the policy strict.
func (w *world) twoSessions(t *testing.T) (weak, strong *visitor) {
	t.Helper()
	weak, strong = w.ours.login(t, "weak"), w.ours.login(t, "strong", func(session map[string]any) {
		factors := session["factors"].(map[string]any)
		factors["webAuthN"] = map[string]any{"verifiedAt": factors["password"].(map[string]any)["verifiedAt"], "userVerified": true}
	})
	strong.factors("password,webAuthN")
	return weak, strong
}

// strictHolds checks that however a target is written, and however an application reads it, a weak session does not get to /admin.
func (w *world) strictHolds(t *testing.T) {
	t.Helper()
	weak, strong := w.twoSessions(t)
	for _, target := range []string{"/public", "/public/a", "/public/a.b/c_d-e.txt", "/public/a?x=/admin"} {
		w.passes(t, request{target: target, seenAs: map[string]string{"Oathkeeper": strings.Replace(target, "=/", "=%2F", 1)}}.by(weak), weak)
		w.refuses(t, request{target: target})
	}
	for _, target := range []string{"/admin/x", "/", "/publicity", "/public.txt", "/public/.env", "/x/public"} {
		w.refuses(t, request{target: target}.by(weak))
		w.passes(t, request{target: target}.by(strong), strong)
	}
	for _, target := range []string{"/public%0a", "/public/a%0a", "/public/%0a"} { // to some expressions $ is before a line break, too
		w.refuses(t, request{target: target}.by(weak))
	}
	if _, ok := w.gateway.(oathkeeper); !ok {
		w.passes(t, request{target: "/public/a"}.by(weak).with("X-Original-URL: /admin/"+forged, "X-Rewrite-URL: /admin/"+forged), weak)
	}
	for _, target := range sly {
		_, _, reached := w.send(t, request{target: target}.by(weak))
		for _, s := range reached {
			if readAsAdmin(s.target) {
				t.Errorf("a weak session reached the application with %s, as %s", target, s.target)
			}
		}
	}
}

// passesByPrefix are targets for which a policy by prefix does not hold.
var passesByPrefix = map[string][]string{
	"nginx":      {"/ADMIN/x", "/admin;a=b/x", "/%2561dmin/x"},
	"Caddy":      {"/admin;a=b/x", "/%2561dmin/x"},
	"HAProxy":    {"/%2Fadmin/x", "/x%2f..%2fadmin/x", "/a%2f../admin/x", "//admin/x", "/%61dmin/x", "/x/../admin/x"},
	"Traefik":    {"/%2Fadmin/x", "/x%2f..%2fadmin/x", "/a%2f../admin/x"},
	"Oathkeeper": {"/%2Fadmin/x", "/x%2f..%2fadmin/x", "/a%2f../admin/x", "//admin/x", "/public/../admin/x"},
}

// prefixFails checks why the document warns of policies by prefix: a weak session gets to /admin.
func (w *world) prefixFails(t *testing.T) {
	t.Helper()
	weak, _ := w.twoSessions(t)
	w.refuses(t, request{target: "/admin/x"}.by(weak))
	for _, target := range passesByPrefix[w.gateway.Name()] {
		response, _, reached := w.send(t, request{target: target}.by(weak))
		if response.StatusCode != http.StatusOK || len(reached) != 1 || !readAsAdmin(reached[0].target) {
			t.Errorf("%s: status %d, and the application saw %v: then the document need not warn of it", target, response.StatusCode, reached)
		}
	}
}
