package gateways

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// oathkeeper is a double of Ory Oathkeeper's proxy with the files of deploy/oathkeeper. Written from
// https://www.ory.sh/docs/oathkeeper/ (access rules, cookie_session, bearer_token, header, redirect) and held against the
// program: Go's reverse proxy drops what Connection names, X-Forwarded-For, -Host, -Proto, and parts of a query that have a
// semicolon. Exactly one rule has to match the decoded path, with its dots and double slashes. The first authenticator of it
// that is responsible asks, with the client's method unless force_method, with the client's path in the place of ours unless
// preserve_path, and with few headers. 200 and nothing else passes; its JSON has subject or sub, a string, and extra, an
// object; templates make the headers. Then the path is cleaned, without a slash at its end. Another answer of verify is 401, or
// a redirect, none is 403. It waits for verify without a limit, keeps two connections to it, and cuts clients that send for
// longer than its time-out.
type oathkeeper struct{ with *recipe }

func (oathkeeper) Name() string { return "Oathkeeper" }

// authenticator is one of Oathkeeper's.
type authenticator struct {
	config  object
	header  string   // that says whether it is responsible
	asks    []string // the headers that it asks with
	subject string   // where the answer has the user
	target  *url.URL
}

func (g oathkeeper) Start(t *testing.T, verify, application string) string {
	t.Helper()
	conf := readYAML[object](t, g.with, "oathkeeper/config.yaml", "127.0.0.1:8081", verify)
	var rules []*oathkeeperRule
	for _, rule := range readYAML[[]any](t, g.with, "oathkeeper/rules.yaml", "127.0.0.1:3000", application) {
		rules = append(rules, newOathkeeperRule(t, conf, rule.(object)))
	}
	proxy := at[object](t, conf, "serve/proxy")
	cors, _ := proxy["cors"].(object)
	return serveWith(t, &http.Server{
		ReadTimeout: duration(t, proxy, "timeout/read"), WriteTimeout: duration(t, proxy, "timeout/write"),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cors["enabled"] == true && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				if origin := r.Header.Get("Origin"); slices.Contains(texts(at[[]any](t, cors, "allowed_origins")), origin) {
					w.Header().Set("Access-Control-Allow-Origin", origin)
				}
				w.Header().Set("Vary", "Origin")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			hops(r.Header)
			var matching []*oathkeeperRule
			for _, rule := range rules {
				if rule.matches(r) {
					matching = append(matching, rule)
				}
			}
			switch len(matching) {
			case 0:
				w.WriteHeader(http.StatusNotFound)
			case 1:
				matching[0].ServeHTTP(w, r)
			default:
				w.WriteHeader(http.StatusInternalServerError)
			}
		}),
	})
}

// mutate sets the headers of r that the templates make of the answer, and returns 0, or the status of an error.
func mutate(r *http.Request, body []byte, subject string, templates map[string]*template.Template) int {
	var found map[string]json.RawMessage
	var session struct {
		Subject      string
		Extra        map[string]any
		MatchContext struct {
			URL    *url.URL
			Method string
		}
	}
	session.MatchContext.Method, session.MatchContext.URL = r.Method, &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}
	if len(body) > 0 && json.Unmarshal(body, &found) != nil ||
		found[subject] != nil && json.Unmarshal(found[subject], &session.Subject) != nil ||
		found["extra"] != nil && json.Unmarshal(found["extra"], &session.Extra) != nil {
		return http.StatusForbidden
	}
	for name, tmpl := range templates {
		var value strings.Builder
		if tmpl.Execute(&value, session) != nil {
			return http.StatusInternalServerError
		}
		r.Header.Set(name, value.String())
	}
	return 0
}

func (oathkeeper) Status(o outcome) int {
	switch o {
	case down:
		return http.StatusForbidden
	case late:
		return http.StatusOK
	default:
		return http.StatusUnauthorized
	}
}

// Oathkeeper adds no X-Forwarded-… of its own: the templates do.
func TestOathkeeper_TellsOfTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oathkeeper{})
	v := w.ours.login(t, "told")
	_, _, reached := w.send(t, request{}.by(v).with("X-Forwarded-Host: "+forged, "X-Forwarded-Proto: https", "X-Forwarded-Method: DELETE"))
	for name, want := range map[string]string{"X-Forwarded-Host": clientHost, "X-Forwarded-Proto": "http", "X-Forwarded-Method": http.MethodGet} {
		for _, s := range reached {
			if got := s.header.Values(name); !slices.Equal(got, []string{want}) {
				t.Errorf("the application saw %s %q, want %q", name, got, want)
			}
		}
	}
	if len(reached) != 1 {
		t.Errorf("it reached the application %d times", len(reached))
	}
}
