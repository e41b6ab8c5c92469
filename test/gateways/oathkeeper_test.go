package gateways

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// oathkeeper is a double of Ory Oathkeeper's proxy with the files of deploy/oathkeeper. Written from
// https://www.ory.sh/docs/oathkeeper/pipeline/authn (cookie_session, bearer_token) and …/pipeline/mutator (header): the first
// authenticator of the rule that is responsible for the request asks, with the client's method unless force_method, with the
// client's path and query in the place of ours unless preserve_path and preserve_query, and with one header, Cookie or
// Authorization. 200 and nothing else passes; its JSON has subject or sub, a string, and extra, an object; templates make the
// headers. Another answer is 401, none is 403. It waits without a limit.
type oathkeeper struct{ bin string } // the program, in the place of the double, if not empty

func (oathkeeper) Name() string { return "Oathkeeper" }

// authenticator is one of Oathkeeper's.
type authenticator struct {
	config  object
	header  string // that it asks with
	subject string // where the answer has the user
	target  string // that check_session_url has
}

func (o oathkeeper) Start(t *testing.T, verify, application string) string {
	t.Helper()
	if o.bin != "" {
		return o.startProgram(t, verify, application)
	}
	conf := readYAML(t, "oathkeeper/config.yaml")
	rules := readList(t, "oathkeeper/rules.yaml")
	var all []authenticator
	for i := range at[[]any](t, rules, "0/authenticators") {
		a := authenticator{header: "Authorization", subject: "sub"}
		name := at[string](t, at[[]any](t, rules, "0/authenticators")[i], "handler")
		if name == "cookie_session" {
			a.header, a.subject = "Cookie", "subject"
		}
		a.config = at[object](t, conf, "authenticators/"+name+"/config")
		target, ok := strings.CutPrefix(at[string](t, a.config, "check_session_url"), "http://127.0.0.1:8081")
		if !ok {
			t.Fatalf("check_session_url of %s is not that of the example", name)
		}
		a.target = target
		all = append(all, a)
	}
	templates := map[string]*template.Template{}
	for name, text := range at[object](t, conf, "mutators/header/config/headers") {
		parsed, err := template.New(name).Parse(text.(string))
		if err != nil {
			t.Fatal(err)
		}
		templates[name] = parsed
	}
	d := &double{verify: verify, application: application}
	d.clean = func(h http.Header) {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} { // with trust_forwarded_headers: false
			h.Del(name)
		}
	}
	d.ask = func(r *http.Request) *http.Request {
		for i := range all {
			if all[i].responsible(r) {
				return all[i].question(d, r)
			}
		}
		return nil
	}
	d.decide = func(r *http.Request, answer *http.Response, body []byte, err error) int {
		switch {
		case err != nil:
			return http.StatusForbidden
		case answer.StatusCode != http.StatusOK:
			return http.StatusUnauthorized
		}
		i := slices.IndexFunc(all, func(a authenticator) bool { return a.responsible(r) })
		return mutate(r, body, all[i].subject, templates)
	}
	return d.start(t, 0)
}

// responsible says whether a looks at r at all; if none does, the answer is 401.
func (a *authenticator) responsible(r *http.Request) bool {
	if a.header == "Authorization" {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return strings.EqualFold(scheme, "bearer") && token != ""
	}
	only, _ := a.config["only"].([]any)
	return slices.ContainsFunc(r.Cookies(), func(c *http.Cookie) bool { return len(only) == 0 || slices.Contains(texts(only), c.Name) })
}

func (a *authenticator) question(d *double, r *http.Request) *http.Request {
	method, target := r.Method, r.URL.EscapedPath()
	if forced, ok := a.config["force_method"].(string); ok {
		method = forced
	}
	if a.config["preserve_path"] == true {
		target = a.target
	}
	if a.config["preserve_query"] != true && r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	q := d.question(method, target)
	q.Header[a.header] = slices.Clone(r.Header[a.header])
	return q
}

// mutate sets the headers of r that the templates make of the answer, and returns 0, or the status of an error.
func mutate(r *http.Request, body []byte, subject string, templates map[string]*template.Template) int {
	var found map[string]json.RawMessage
	var session struct {
		Subject string
		Extra   map[string]any
	}
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
