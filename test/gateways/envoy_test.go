package gateways

import (
	"cmp"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// envoy is a double of Envoy's ext_authz filter with an HTTP service, v3 API, with deploy/envoy/envoy.yaml. Written from
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto: the client's
// method, path_prefix and the client's path with its query, Host, Authorization and allowed_headers, Content-Length 0. 200
// and nothing else passes, with allowed_upstream_headers in the place of the client's; 5xx, no answer and an answer that is
// late are errors, which are status_on_error. It adds its own address to X-Forwarded-For in the question.
type envoy struct{ prefix string } // in the place of path_prefix, if not empty

// envoysAddress is the address of Envoy's node.
const envoysAddress = "192.0.2.81"

func (envoy) Name() string { return "Envoy" }

func (e envoy) Start(t *testing.T, verify, application string) string {
	t.Helper()
	manager := at[object](t, readYAML[object](t, nil, "envoy/envoy.yaml"), "static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
	if v := at[string](t, manager, "common_http_protocol_options/headers_with_underscores_action"); v != "DROP_HEADER" {
		t.Fatalf("headers_with_underscores_action is %s", v)
	}
	if v := at[[]any](t, manager, "upgrade_configs"); len(v) != 1 || at[string](t, v, "0/upgrade_type") != "websocket" {
		t.Fatalf("upgrades are %v", v)
	}
	authz := at[object](t, manager, "http_filters/1/typed_config")
	asks := texts(at[[]any](t, authz, "allowed_headers/patterns"))
	gives := at[[]any](t, authz, "http_service/authorization_response/allowed_upstream_headers/patterns")
	prefix := cmp.Or(e.prefix, at[string](t, authz, "http_service/path_prefix"))
	if at[bool](t, authz, "failure_mode_allow") || at[string](t, authz, "status_on_error/code") != "ServiceUnavailable" {
		t.Fatal("errors would pass, or be another status than 503")
	}
	timeout, err := time.ParseDuration(at[string](t, authz, "http_service/server_uri/timeout"))
	if err != nil {
		t.Fatal(err)
	}
	d := &double{verify: verify, application: application, copyDenial: true}
	d.clean = mutations(t, manager)
	d.ask = func(r *http.Request) *http.Request {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		r.Header.Set("X-Forwarded-For", host) // with use_remote_address, and our mutation
		r.Header.Set("X-Forwarded-Proto", "http")
		q := d.question(r.Method, prefix+r.RequestURI)
		q.Host = r.Host
		for _, name := range append([]string{"authorization"}, asks...) {
			if values := r.Header.Values(name); len(values) > 0 {
				q.Header.Set(name, strings.Join(values, ",")) // several lines are one
			}
		}
		q.Header.Set("X-Forwarded-For", strings.TrimPrefix(q.Header.Get("X-Forwarded-For")+","+envoysAddress, ","))
		q.Header.Set("X-Envoy-Expected-Rq-Timeout-Ms", "200")
		return q
	}
	d.decide = func(r *http.Request, answer *http.Response, _ []byte, err error) int {
		switch {
		case err != nil || answer.StatusCode >= 500:
			return http.StatusServiceUnavailable
		case answer.StatusCode != http.StatusOK:
			return answer.StatusCode
		}
		for name := range answer.Header { // what is not in the answer stays as it is
			if slices.ContainsFunc(gives, func(pattern any) bool { return matches(t, pattern, strings.ToLower(name)) }) {
				replace(r, answer, []string{name})
			}
		}
		return 0
	}
	return d.start(t, timeout)
}

// mutations returns what removes headers as the connection manager does.
func mutations(t *testing.T, manager object) func(http.Header) {
	t.Helper()
	all := at[[]any](t, manager, "http_filters/0/typed_config/mutations/request_mutations")
	return func(h http.Header) {
		deleteMatching(h, func(name string) bool { return strings.Contains(name, "_") || strings.HasPrefix(name, "x-envoy-") })
		for _, m := range all {
			if name, ok := m.(object)["remove"].(string); ok {
				h.Del(name)
			} else if m.(object)["remove_on_match"] != nil {
				pattern := at[object](t, m, "remove_on_match/key_matcher")
				deleteMatching(h, func(name string) bool { return matches(t, pattern, name) })
			}
		}
	}
}

// matches says whether one of Envoy's StringMatchers takes a name in lower case: it is exact, prefix or safe_regex.
func matches(t *testing.T, pattern any, name string) bool {
	t.Helper()
	switch p := pattern.(object); {
	case p["exact"] != nil:
		return name == at[string](t, p, "exact")
	case p["prefix"] != nil:
		return strings.HasPrefix(name, at[string](t, p, "prefix"))
	default:
		return regexp.MustCompile("^(?:" + at[string](t, p, "safe_regex/regex") + ")$").MatchString(name)
	}
}

func (envoy) Status(o outcome) int { return nginx{}.Status(o) }
