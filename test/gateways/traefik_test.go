package gateways

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// traefik is a double of Traefik's ForwardAuth middleware, v3, with deploy/traefik/dynamic.yaml. Written from its reference
// (https://doc.traefik.io/traefik/middlewares/http/forwardauth/, …/http/headers/, and forwardedHeaders of entry points):
// GET to a fixed address, with the client's headers or those of authRequestHeaders, and X-Forwarded-Method, -Proto, -Host,
// -Uri, -For of its own. 2xx passes, with authResponseHeaders in the place of the client's; another answer goes to the
// client as it is; without an answer the client gets 500. It waits 30 s.
type traefik struct{}

func (traefik) Name() string { return "Traefik" }

func (traefik) Start(t *testing.T, verify, application string) string {
	t.Helper()
	conf := at[object](t, readYAML(t, "traefik/dynamic.yaml"), "http")
	auth := at[object](t, conf, "middlewares/cloakroom/forwardAuth")
	asks := texts(at[[]any](t, auth, "authRequestHeaders"))
	gives := texts(at[[]any](t, auth, "authResponseHeaders"))
	address := at[string](t, auth, "address")
	removes := at[object](t, conf, "middlewares/ours/headers/customRequestHeaders")
	if order := texts(at[[]any](t, conf, "routers/application/middlewares")); !slices.Equal(order, []string{"ours", "cloakroom"}) {
		t.Fatalf("the middlewares are %q", order)
	}
	target, ok := strings.CutPrefix(address, "http://127.0.0.1:8081")
	if !ok {
		t.Fatalf("the address is %q", address)
	}
	d := &double{verify: verify, application: application, copyDenial: true}
	d.clean = func(h http.Header) {
		deleteMatching(h, func(name string) bool {
			switch name { // what an entry point takes from nobody who is not trusted
			case "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server", "x-forwarded-prefix", "x-real-ip":
				return true
			}
			return false
		})
		for name, value := range removes {
			if value == "" {
				h.Del(name)
			}
		}
	}
	d.ask = func(r *http.Request) *http.Request {
		q := d.question(http.MethodGet, target)
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
		return 0
	}
	return d.start(t, 30*time.Second)
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

func (traefik) Status(o outcome) int {
	switch o {
	case unauthorized:
		return http.StatusUnauthorized
	case forbidden:
		return http.StatusForbidden
	case unavailable:
		return http.StatusServiceUnavailable
	case down:
		return http.StatusInternalServerError
	default:
		return http.StatusOK
	}
}
