package gateways

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// traefik is a double of Traefik 3.7 with deploy/traefik: its entry points, routers, and the middlewares headers and
// forwardAuth. Written from its reference (https://doc.traefik.io/traefik/reference/), and held against 3.7.13. An entry point
// cleans paths (slashes and dots, not %2F), makes & of ; in queries, and drops what Connection names and headers that it sets
// itself. forwardAuth sends a GET to a fixed address, with the client's headers or those of authRequestHeaders, and
// X-Forwarded-Method, -Proto, -Host, -Uri, -For, and waits 30 s. 2xx passes, with authResponseHeaders, and then what
// authResponseHeadersRegex matches, in the place of the client's; another answer goes to the client as it is, or to authSigninURL if it is 401; without one the client gets 500.
type traefik struct{ with *recipe }

func (traefik) Name() string { return "Traefik" }

func (g traefik) Start(t *testing.T, verify, application string) string {
	t.Helper()
	static := at[object](t, readYAML[object](t, g.with, "traefik/traefik.yaml"), "entryPoints")
	inner := g.entryPoint(t, static, "cloakroom", g.conf(t, verify, application, "127.0.0.1:8082"))
	return g.entryPoint(t, static, "web", g.conf(t, verify, application, inner))
}

// conf returns the dynamic configuration with the test's addresses, of which inner is that of the entry point cloakroom.
func (g traefik) conf(t *testing.T, verify, application, inner string) object {
	t.Helper()
	return at[object](t, readYAML[object](t, g.with, "traefik/dynamic.yaml",
		"127.0.0.1:8081", verify, "127.0.0.1:3000", application, "127.0.0.1:8082", inner), "http")
}

// entryPoint serves what conf has for the entry point of that name.
func (g traefik) entryPoint(t *testing.T, static object, name string, conf object) (addr string) {
	t.Helper()
	entry := at[object](t, static, name)
	var routers []*traefikRouter
	for _, router := range at[object](t, conf, "routers") {
		if !g.isOn(t, static, name, router) {
			continue
		}
		r := &traefikRouter{rule: at[string](t, router, "rule")}
		r.next = traefikService(t, conf, at[string](t, router, "service"))
		names, _ := router.(object)["middlewares"].([]any)
		for _, middleware := range slices.Backward(texts(names)) {
			r.next = traefikMiddleware(t, at[object](t, conf, "middlewares/"+middleware), r.next)
		}
		routers = append(routers, r)
	}
	slices.SortFunc(routers, func(a, b *traefikRouter) int { return len(b.rule) - len(a.rule) }) // the longest rule first
	trusts := entry["forwardedHeaders"] != nil
	aliases := false
	if options, ok := entry["http"].(object); ok {
		aliases = options["aliasHeadersStrategy"] == "delete"
	}
	server := g.server(t, entry)
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops(r.Header)
		deleteMatching(r.Header, func(name string) bool {
			return aliases && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || !trusts && slices.Contains(traefiksOwn, name)
		})
		r.URL.RawPath = encoded.ReplaceAllStringFunc(r.URL.RawPath, normal)
		r.URL = r.URL.JoinPath() // cleans
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, ";", "&")
		for _, router := range routers {
			if router.matches(t, r) {
				router.next.ServeHTTP(w, r)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	})
	return serveWith(t, server)
}

var (
	encoded    = regexp.MustCompile("%[0-9a-fA-F]{2}")
	unreserved = regexp.MustCompile("^[A-Za-z0-9._~-]$")
)

// normal decodes an encoded character that needs no encoding, and writes another in upper case.
func normal(s string) string {
	if c, err := url.PathUnescape(s); err == nil && unreserved.MatchString(c) {
		return c
	}
	return strings.ToUpper(s)
}

// traefiksOwn are the headers that an entry point takes from nobody whom it does not trust.
var traefiksOwn = []string{
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server", "x-forwarded-prefix",
	"x-forwarded-uri", "x-forwarded-method", "x-real-ip",
}

type traefikRouter struct {
	rule string
	next http.Handler
}

var traefikMatcher = regexp.MustCompile("^(\\w+)\\(`([^`]*)`(?:, *`([^`]*)`)?\\)$")

// matches knows the few matchers that deploy/ and docs/ use. A path is matched as it was sent, cleaned: what is encoded is
// not decoded, save for characters that need no encoding.
func (r *traefikRouter) matches(t *testing.T, request *http.Request) bool {
	t.Helper()
	for part := range strings.SplitSeq(r.rule, " && ") {
		m := traefikMatcher.FindStringSubmatch(part)
		if m == nil {
			t.Errorf("the rule %s is not understood", r.rule)
			return false
		}
		var ok bool
		switch path := request.URL.EscapedPath(); m[1] {
		case "PathPrefix":
			ok = strings.HasPrefix(path, m[2])
		case "PathRegexp":
			ok = regexp.MustCompile(m[2]).MatchString(path)
		default:
			t.Errorf("the matcher %s is not understood", m[1])
		}
		if !ok {
			return false
		}
	}
	return true
}

func traefikMiddleware(t *testing.T, conf object, next http.Handler) http.Handler {
	t.Helper()
	if headers, ok := conf["headers"].(object); ok {
		return traefikHeaders(headers, next)
	}
	auth := at[object](t, conf, "forwardAuth")
	asks := texts(at[[]any](t, auth, "authRequestHeaders"))
	gives := texts(at[[]any](t, auth, "authResponseHeaders"))
	pattern := regexp.MustCompile(at[string](t, auth, "authResponseHeadersRegex"))
	address, err := url.Parse(at[string](t, auth, "address"))
	if err != nil || at[bool](t, auth, "trustForwardHeader") {
		t.Fatalf("the address %v, or it trusts its clients", address)
	}
	d := &double{verify: address.Host, client: asker(t, 30*time.Second, 0), copyDenial: true, next: next}
	d.login, _ = auth["authSigninURL"].(string)
	d.ask = func(r *http.Request) *http.Request {
		q := d.question(http.MethodGet, address.Path)
		for _, name := range asks {
			q.Header[http.CanonicalHeaderKey(name)] = slices.Clone(r.Header.Values(name))
		}
		forwarded(q.Header, r)
		return q
	}
	d.decide = func(r *http.Request, answer *http.Response, _ []byte, err error) int {
		switch {
		case err != nil:
			return http.StatusInternalServerError
		case answer.StatusCode/100 != 2:
			return answer.StatusCode
		}
		replace(r, answer, gives)
		maps.DeleteFunc(r.Header, func(name string, _ []string) bool { return pattern.MatchString(name) })
		for name := range answer.Header {
			if pattern.MatchString(name) {
				replace(r, answer, []string{name})
			}
		}
		return 0
	}
	return d
}

// traefikHeaders is the middleware headers: it removes request headers, and answers preflights by itself if told of CORS.
func traefikHeaders(conf object, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		removes, _ := conf["customRequestHeaders"].(object)
		for name, value := range removes {
			if value == "" {
				r.Header.Del(name)
			}
		}
		origins, cors := conf["accessControlAllowOriginList"].([]any)
		if origin := r.Header.Get("Origin"); cors && slices.Contains(texts(origins), origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		if conf["addVaryHeader"] == true {
			w.Header().Set("Vary", "Origin")
		}
		if cors && r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// traefikService proxies as Go's library does, with the time-outs that the service names.
func traefikService(t *testing.T, conf object, name string) http.Handler {
	t.Helper()
	balancer := at[object](t, conf, "services/"+name+"/loadBalancer")
	target, err := url.Parse(at[string](t, balancer, "servers/0/url"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 200}
	t.Cleanup(transport.CloseIdleConnections)
	if name, ok := balancer["serversTransport"].(string); ok {
		limits := at[object](t, conf, "serversTransports/"+name)
		transport.MaxIdleConnsPerHost = at[int](t, limits, "maxIdleConnsPerHost")
		transport.DialContext = (&net.Dialer{Timeout: duration(t, limits, "forwardingTimeouts/dialTimeout")}).DialContext
		transport.ResponseHeaderTimeout = duration(t, limits, "forwardingTimeouts/responseHeaderTimeout")
	}
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if late := net.Error(nil); errors.As(err, &late) && late.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
				w.WriteHeader(http.StatusGatewayTimeout)
				return
			}
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "Bad Gateway")
		},
	}
}

// duration returns what at finds, as time.ParseDuration reads it.
func duration(t *testing.T, v any, path string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(at[string](t, v, path))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// forwarded sets what a gateway tells of its client's request.
func forwarded(h http.Header, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	h.Set("X-Forwarded-For", host)
	h.Set("X-Forwarded-Method", r.Method)
	h.Set("X-Forwarded-Proto", "http")
	h.Set("X-Forwarded-Host", r.Host)
	h.Set("X-Forwarded-Uri", r.RequestURI)
}

func (traefik) Status(o outcome) int { return caddy{}.Status(o) }
