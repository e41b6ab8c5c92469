package httpapi

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/valyala/fasthttp"
)

// timeouts bound how long a request may take.
type timeouts struct {
	server.Timeouts
	// request is how long the store may take for one request.
	request time.Duration
	// pause is the longest pause within an import, patience how long an
	// import waits for a store that is away.
	pause, patience time.Duration
	// idleAtEnd is how long connections without a request stay open when the
	// server ends, for those that are on their way.
	idleAtEnd time.Duration
}

var defaultTimeouts = timeouts{
	Timeouts: server.DefaultTimeouts,
	request:  time.Second,
	pause:    30 * time.Second,
	patience: 5 * time.Second,
}

// Run serves ln until ctx ends. Then it stops accepting, answers what is under
// way with Connection: close, and returns nil. What takes longer than
// shutdownTimeout is cut off. Everything that Run started has ended when it
// returns. (I7)
func (s *Server) Run(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	base = server.WithDrain(base, ctx)
	_, isUnix := ln.Addr().(*net.UnixAddr)
	srv := server.New(s.log, s.limits.Timeouts, s.config.MaxHeaderBytes)
	f := face{loopbackOnly: s.config.Anonymous && !isUnix}
	srv.Handler = s.verify.Before(base, s.withCORS(s.router(base, f), s.handle(base, &preflightRoute, f)))
	srv.ErrorHandler = s.refuse
	s.readHeaders(srv)
	return server.Serve(ctx, s.log, srv, ln, shutdownTimeout, s.limits.idleAtEnd, cut)
}

// RunVerify serves ln with verify alone: every path and every method is verify,
// with the default policy. It stops as Run does.
//
// Some gateways send us their client's method and path, and announce its body
// without ever sending that. So neither method, path nor query decides
// anything here, and a body is never waited for.
func (s *Server) RunVerify(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := server.New(s.log, s.limits.Timeouts, s.config.MaxHeaderBytes)
	srv.Handler = func(http *fasthttp.RequestCtx) { s.verify.Answer(base, http, nil, true) }
	srv.ErrorHandler = s.verify.Refuse
	srv.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		h.SetRequestURI("/") // a client's, which may be anything
		server.WithoutBody(h)
		return fasthttp.RequestConfig{}
	}
	return server.Serve(ctx, s.log, srv, ln, shutdownTimeout, s.limits.idleAtEnd, cut)
}

// The beginning of a request tells whether it is for verify.
const _ = uint(server.LeastURI - len(verify.Path+"/"))

// refuse answers what never became a request.
func (s *Server) refuse(http *fasthttp.RequestCtx, err error) {
	if _, uri, known := server.Begun(http); known && verify.Is(uri) {
		s.verify.Refuse(http, err)
		return
	}
	e := server.HeaderError(http.Conn(), err, s.config.MaxHeaderBytes)
	refusal.Write(http, e)
	s.shareUnread(http)
	server.EndUnread(http)
	s.metrics.Refused(e.Status())
}

// readHeaders has srv ask us as soon as it has the headers of a request. Bodies are
// read by the handlers, each with its own bound: an import is longer than memory.
// Before a handler nearly nothing is read, and of verify's nothing at all.
func (s *Server) readHeaders(srv *fasthttp.Server) {
	server.StreamBodies(srv, s.refused)
	others := srv.HeaderReceived
	srv.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		if verify.Is(h.RequestURI()) {
			server.WithoutBody(h)
			return fasthttp.RequestConfig{}
		}
		return others(h)
	}
}

// refused says whether a request is refused whatever its body is: it has no
// credentials, or is a logout, or an event, whose headers are refused.
func (s *Server) refused(h *fasthttp.RequestHeader) bool {
	switch path, _, _ := bytes.Cut(h.RequestURI(), []byte("?")); {
	case string(path) == logoutPath:
		return s.refuseLogout(h) != nil
	case string(path) == webhook.Path && s.events != nil:
		_, err := s.eventSignature(h)
		return err != nil
	}
	return !s.config.Anonymous && len(h.PeekCanonical(authorizationName)) == 0
}

// unavailableEnd is how long requests may take that are under way at the end of
// RunUnavailable, and for half of it a connection stays open whose request has not
// come yet: its client would get no answer at all.
const unavailableEnd = time.Second

// RunUnavailable answers every request on ln that the session store is
// unavailable, until ctx ends; then it returns nil. Each answer ends its
// connection. forVerify says that ln is one for RunVerify. It is for a socket that
// clients can reach before there is a Store, and that a Server goes on with. Of c
// it needs Logger, MaxHeaderBytes and Verify.HideReason.
func RunUnavailable(ctx context.Context, ln net.Listener, forVerify bool, c *Config) error {
	srv := server.New(c.Logger, server.DefaultTimeouts, c.MaxHeaderBytes)
	srv.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		server.WithoutBody(h)
		return fasthttp.RequestConfig{}
	}
	srv.Handler = func(http *fasthttp.RequestCtx) {
		if forVerify || verify.Is(http.RequestURI()) {
			verify.Unavailable(http, c.Verify.HideReason)
		} else {
			refusal.Write(http, errUnavailable)
		}
		server.CloseUnread(http)
	}
	srv.ErrorHandler = func(http *fasthttp.RequestCtx, _ error) {
		srv.Handler(http)
		server.EndUnread(http)
	}
	return server.Serve(ctx, c.Logger, srv, ln, unavailableEnd, unavailableEnd/2, func() {})
}

// Translated returns what answers requests that another protocol was translated into:
// those to the API, by the protocol's name in metrics, and to verify, by a policy unless that
// is "". Requests under way end with base; a verify ends no later than its context, and not
// because that is cancelled: the store is not away then.
// loopbackOnly refuses without credentials what comes for other host names than this
// machine's. Each request has its body as a stream, and its answer is good until it is reset.
func (s *Server) Translated(base context.Context, loopbackOnly bool) (api func(protocol string) fasthttp.RequestHandler, check func(ctx context.Context, http *fasthttp.RequestCtx, policy string)) {
	api = func(protocol string) fasthttp.RequestHandler {
		return s.router(base, face{protocol, s.config.Anonymous && loopbackOnly})
	}
	counts := s.metrics.Of(verify.Path, "grpc")
	return api, func(ctx context.Context, http *fasthttp.RequestCtx, policy string) {
		var named *verify.Policy
		known := true
		if policy != "" {
			named, known = s.config.Verify.Policies[policy]
		}
		until := base
		if end, has := ctx.Deadline(); has && time.Until(end) < verify.DefaultTimeout {
			timed, cancel := context.WithDeadline(base, end)
			defer cancel()
			until = timed
		}
		s.verify.AnswerAs(until, http, named, known, counts)
	}
}
