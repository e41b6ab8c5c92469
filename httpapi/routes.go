package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/openapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// route is one line of the API: what is asked, and who answers.
type route struct {
	method, path string
	// call is the name of the call in logs.
	call string
	// beta is the older version of the API, which knows less.
	beta bool
	// protocol is how it is spoken.
	protocol protocol.Protocol
	// open needs no credentials. Its handler reads the body, if it has one.
	open bool
	// writes is logged, whether it succeeds or is refused.
	writes bool
	// streams reads its body itself, and takes as long as that takes.
	streams bool
	// lasts takes as long as its work takes: it has no deadline.
	lasts bool
	// class says whose places it takes.
	class class
	do    handler
	// upstream answers in place of do where the sessions are those of a ZITADEL; nil: do does.
	upstream handler
}

// handler answers a call that is authenticated and whose body has been read; an
// open route is neither.
type handler func(s *Server, ctx context.Context, c *call) error

// routes is the whole API.
var routes = slices.Concat(
	sessionService("v2", false),
	sessionService("v2beta", true),
	[]route{
		{method: fasthttp.MethodPut, path: "/v2/sessions/{id}", call: "PutSession", writes: true, class: classWrite, do: answer(decodePut, (*Server).putSession), upstream: fail(errUpstreamOwns)},
		{method: fasthttp.MethodPost, path: "/v2/sessions/import", call: "ImportSessions", writes: true, streams: true, class: classLong, do: (*Server).importSessions, upstream: fail(errUpstreamOwns)},
		{method: fasthttp.MethodPost, path: "/v2/sessions/revoke", call: "RevokeSessions", writes: true, lasts: true, class: classLong, do: answer(decodeRevoke, (*Server).revokeSessions), upstream: (*Server).revokeUpstream},
		{method: fasthttp.MethodPost, path: logoutPath, call: "BackchannelLogout", open: true, protocol: protocol.OAuth, writes: true, do: (*Server).backchannelLogout},
		{method: fasthttp.MethodPost, path: webhook.Path, call: "ZITADELEvent", open: true, do: (*Server).takeEvent},
		{method: fasthttp.MethodGet, path: "/.well-known/jwks.json", call: "AssertionKeys", open: true, do: (*Server).assertionKeys},
		{method: fasthttp.MethodGet, path: "/version", call: "Version", open: true, do: (*Server).version},
		{method: fasthttp.MethodGet, path: "/openapi.json", call: "OpenAPI", open: true, do: described(openapi.Document)},
		{method: fasthttp.MethodGet, path: "/docs", call: "Docs", open: true, do: described(openapi.Page)},
		{method: fasthttp.MethodGet, path: "/docs/style.css", call: "DocsStyle", open: true, do: described(openapi.Style)},
	},
)

// sessionService has the calls of one version of ZITADEL's session service, by
// REST and by Connect.
func sessionService(version string, beta bool) []route {
	prefix, service := "/"+version, protocol.ConnectPrefix+"session."+version+".SessionService/"
	calls := []route{
		{method: fasthttp.MethodPost, path: prefix + "/sessions/search", call: "ListSessions", beta: beta, class: classSearch, do: listAgain(answer(decodeList, (*Server).listSessions)), upstream: (*Server).listUpstream},
		{method: fasthttp.MethodGet, path: prefix + "/sessions/{id}", call: "GetSession", beta: beta, class: classRead, do: answer(decodeGet, (*Server).getSession), upstream: (*Server).getUpstream},
		{method: fasthttp.MethodPost, path: prefix + "/sessions", call: "CreateSession", beta: beta, writes: true, class: classWrite, do: answer(decodeCreate, (*Server).createSession), upstream: (*Server).createUpstream},
		{method: fasthttp.MethodPatch, path: prefix + "/sessions/{id}", call: "SetSession", beta: beta, writes: true, class: classWrite, do: answer(decodeSet, (*Server).setSession), upstream: (*Server).setUpstream},
		{method: fasthttp.MethodDelete, path: prefix + "/sessions/{id}", call: "DeleteSession", beta: beta, writes: true, class: classWrite, do: answer(decodeDelete, (*Server).deleteSession), upstream: (*Server).deleteUpstream},
	}
	for _, r := range slices.Clone(calls) {
		calls = append(calls, r.byConnect(service))
	}
	return calls
}

// Lasts says whether requests to a route, by its name in metrics, take as long as their work or their body does.
func Lasts(name string) bool {
	return slices.ContainsFunc(routes, func(r route) bool { return (r.lasts || r.streams) && r.label() == name })
}

// byConnect returns r as a procedure of Connect.
func (r route) byConnect(service string) route {
	r.method, r.path, r.protocol = fasthttp.MethodPost, service+r.call, protocol.Connect
	return r
}

// connect says whether r is spoken by Connect.
func (r *route) connect() bool { return r.protocol == protocol.Connect }

// What answers to requests outside the API.
var (
	unknownRoute  = route{call: server.NoRoute, open: true, do: fail(refusal.NoRoute)}
	unknownMethod = route{call: server.NoRoute, open: true, do: (*Server).methods}

	unknownProcedure       = route{call: server.NoRoute, open: true, protocol: protocol.Connect, do: fail(protocol.ErrNoProcedure)}
	unknownProcedureMethod = route{call: server.NoRoute, open: true, protocol: protocol.Connect, do: (*Server).methods}
)

// answer makes a handler of what reads a request and what answers it.
func answer[Request any](decode func(*call) (Request, error), do func(*Server, context.Context, *call, Request) error) handler {
	return func(s *Server, ctx context.Context, c *call) error {
		request, err := decode(c)
		if err != nil {
			return err
		}
		return do(s, ctx, c, request)
	}
}

// described makes a handler of what answers with a description of the API.
func described(write func(*fasthttp.RequestCtx) error) handler {
	return func(_ *Server, _ context.Context, c *call) error { return write(c.http) }
}

// methods refuses a method. Allow names the others; the router adds OPTIONS,
// which nobody answers.
func (s *Server) methods(_ context.Context, c *call) error {
	h := &c.http.Response.Header
	allow := strings.Split(string(h.Peek(fasthttp.HeaderAllow)), ", ")
	allow = slices.DeleteFunc(allow, func(m string) bool { return m == fasthttp.MethodOptions })
	h.Set(fasthttp.HeaderAllow, strings.Join(allow, ", "))
	return refusal.NoMethod
}

// fail makes a handler that only ever answers err.
func fail(err error) handler {
	return func(*Server, context.Context, *call) error { return err }
}

// router returns the handler of all routes. base ends when the server cuts off
// what is under way.
func (s *Server) router(base context.Context, f face) fasthttp.RequestHandler {
	r := router.New()
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleOPTIONS = false
	for i := range routes {
		if routes[i].path == webhook.Path && s.events == nil {
			continue
		}
		h := s.handle(base, &routes[i], f)
		r.Handle(routes[i].method, routes[i].path, h)
		if routes[i].method == fasthttp.MethodGet {
			r.HEAD(routes[i].path, h) // RFC 9110, 9.1
		}
	}
	byPath := func(rest, connect *route) fasthttp.RequestHandler {
		rests, connects := s.handle(base, rest, f), s.handle(base, connect, f)
		return func(http *fasthttp.RequestCtx) {
			if bytes.HasPrefix(http.Path(), []byte(protocol.ConnectPrefix)) {
				connects(http)
			} else {
				rests(http)
			}
		}
	}
	r.NotFound = byPath(&unknownRoute, &unknownProcedure)
	r.MethodNotAllowed = byPath(&unknownMethod, &unknownProcedureMethod)
	return r.Handler
}

// label names a route in metrics.
func (r *route) label() string {
	if r.call == server.NoRoute {
		return server.NoRoute
	}
	return r.method + " " + r.path
}

// version answers GET /version.
func (s *Server) version(_ context.Context, c *call) error {
	c.begin(0)
	c.out = append(c.out, `{"version":`...)
	c.out = protojson.AppendString(c.out, s.config.Version)
	return c.end(http.StatusOK)
}

// forFiveMinutes lets applications keep the keys of assertions.
var forFiveMinutes = []byte("public, max-age=300")

// assertionKeys answers GET /.well-known/jwks.json: the public keys that assertions are signed with.
func (s *Server) assertionKeys(_ context.Context, c *call) error {
	if s.config.Verify.Assertions == nil {
		return refusal.NoRoute
	}
	c.http.Response.Header.SetCanonical(cacheControlName, forFiveMinutes)
	c.http.SetBody(s.config.Verify.Assertions.Keys().Set())
	return nil
}
