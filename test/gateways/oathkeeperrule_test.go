package gateways

import (
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// oathkeeperRule is an access rule.
type oathkeeperRule struct {
	*double
	methods []string
	is      *regexp.Regexp // of scheme, host and path
	isNot   *regexp.Regexp // what begins with (?! in the rule; nil if nothing
}

func newOathkeeperRule(t *testing.T, conf, rule object) *oathkeeperRule {
	t.Helper()
	r := &oathkeeperRule{methods: texts(at[[]any](t, rule, "match/methods"))}
	r.is, r.isNot = oathkeeperPattern(at[string](t, rule, "match/url"))
	all := authenticators(t, conf, rule)
	headers := map[string]*template.Template{}
	for name, text := range at[object](t, conf, "mutators/header/config/headers") {
		parsed, err := template.New(name).Parse(text.(string))
		if err != nil {
			t.Fatal(err)
		}
		headers[name] = parsed
	}
	upstream, err := url.Parse(at[string](t, rule, "upstream/url"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	r.double = &double{client: asker(t, 0, 0), next: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = upstream.Scheme, upstream.Host, p.In.Host
			p.Out.URL.Path = path.Join(upstream.Path, p.In.URL.Path) // RawPath counts as long as it is the same
			p.Out.URL.RawQuery = p.Out.URL.Query().Encode()          // as builds by some versions of Go do
			for name := range headers {                              // X-Forwarded-Host and -Proto are not yet there
				p.Out.Header.Set(name, p.In.Header.Get(name))
			}
		},
	}}
	r.clean = func(h http.Header) {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
			h.Del(name)
		}
	}
	r.ask = func(request *http.Request) *http.Request {
		if i := slices.IndexFunc(all, func(a *authenticator) bool { return a.responsible(request) }); i >= 0 {
			return all[i].question(request)
		}
		return nil
	}
	r.decide = func(request *http.Request, answer *http.Response, body []byte, err error) int {
		switch {
		case err != nil:
			return http.StatusForbidden
		case answer.StatusCode != http.StatusOK:
			return http.StatusUnauthorized
		}
		i := slices.IndexFunc(all, func(a *authenticator) bool { return a.responsible(request) })
		return mutate(request, body, all[i].subject, headers)
	}
	if handlers, ok := rule["errors"].([]any); ok {
		if len(handlers) != 1 || at[string](t, handlers, "0/handler") != "redirect" || !at[bool](t, conf, "errors/handlers/redirect/enabled") {
			t.Fatal("a rule has other error handlers than redirect alone, or that is not enabled")
		}
		r.login = at[string](t, handlers, "0/config/to")
	}
	return r
}

// oathkeeperPattern makes of a rule's URL, which has expressions in <>, what has to match, and what must not, if one of the
// expressions begins with (?! and ends with ).*, which Go's do not know.
func oathkeeperPattern(pattern string) (is, isNot *regexp.Regexp) {
	const end = `\n?\z` // what $ is to Oathkeeper's
	var positive, negative strings.Builder
	without := false
	for len(pattern) > 0 {
		literal, rest, _ := strings.Cut(pattern, "<")
		expression, after, _ := strings.Cut(rest, ">")
		expression = strings.ReplaceAll(expression, "$", end)
		positive.WriteString(regexp.QuoteMeta(literal))
		negative.WriteString(regexp.QuoteMeta(literal))
		if lookahead, ok := strings.CutPrefix(expression, "(?!"); ok {
			without, expression = true, ".*"
			negative.WriteString("(" + strings.TrimSuffix(lookahead, ").*") + ")")
		} else {
			negative.WriteString("(" + expression + ")")
		}
		positive.WriteString("(" + expression + ")")
		pattern = after
	}
	is = regexp.MustCompile("^" + positive.String() + end)
	if without {
		isNot = regexp.MustCompile("^" + negative.String())
	}
	return is, isNot
}

func (r *oathkeeperRule) matches(request *http.Request) bool {
	u := "http://" + request.Host + request.URL.Path
	return slices.Contains(r.methods, request.Method) && r.is.MatchString(u) && (r.isNot == nil || !r.isNot.MatchString(u))
}

// authenticators returns those of the rule, each with its configuration, of which the rule can override parts.
func authenticators(t *testing.T, conf, rule object) []*authenticator {
	t.Helper()
	var all []*authenticator
	for _, named := range at[[]any](t, rule, "authenticators") {
		name := at[string](t, named, "handler")
		a := &authenticator{config: maps.Clone(at[object](t, conf, "authenticators/"+name+"/config")), header: "Authorization", subject: "sub"}
		override, _ := named.(object)["config"].(object)
		maps.Copy(a.config, override)
		forward, _ := a.config["forward_http_headers"].([]any)
		a.asks = append(texts(forward), "Authorization")
		if name == "cookie_session" {
			a.header, a.asks, a.subject = "Cookie", append(texts(forward), "Cookie"), "subject"
		} else if a.config["token_from"] != nil {
			a.header = at[string](t, a.config, "token_from/header")
		}
		target, err := url.Parse(at[string](t, a.config, "check_session_url"))
		if err != nil {
			t.Fatal(err)
		}
		a.target = target
		all = append(all, a)
	}
	return all
}

// responsible says whether a looks at r at all; if none does, the answer is 401.
func (a *authenticator) responsible(r *http.Request) bool {
	switch a.header {
	case "Authorization":
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return strings.EqualFold(scheme, "bearer") && token != ""
	case "Cookie":
		only, _ := a.config["only"].([]any)
		return slices.ContainsFunc(r.Cookies(), func(c *http.Cookie) bool { return len(only) == 0 || slices.Contains(texts(only), c.Name) })
	default:
		return r.Header.Get(a.header) != ""
	}
}

func (a *authenticator) question(r *http.Request) *http.Request {
	u := *a.target
	if a.config["preserve_path"] != true {
		u.Path, u.RawPath = r.URL.Path, ""
	}
	if a.config["preserve_query"] == false {
		u.RawQuery = r.URL.RawQuery
	}
	method := r.Method
	if forced, ok := a.config["force_method"].(string); ok {
		method = forced
	}
	q := &http.Request{Method: method, URL: &u, Header: http.Header{}}
	for _, name := range a.asks {
		if values := r.Header.Values(name); len(values) > 0 {
			q.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	return q
}
