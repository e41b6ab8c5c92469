package httpapi

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

const debugLevel = slog.LevelDebug

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
	srv.Handler = func(http *fasthttp.RequestCtx) { s.verify(base, http, nil, true) }
	srv.ErrorHandler = s.refuseVerify
	srv.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		h.SetRequestURI("/") // a client's, which may be anything
		server.WithoutBody(h)
		return fasthttp.RequestConfig{}
	}
	return server.Serve(ctx, s.log, srv, ln, shutdownTimeout, s.limits.idleAtEnd, cut)
}

// refuseVerify answers what never became a request: 401 or 403, which a gateway
// takes for a refusal, and not for a failure of ours. To log in again makes no
// header smaller: so that is 403. A header that the end of the server has cut off
// says nothing about its token: 503.
func (s *Server) refuseVerify(http *fasthttp.RequestCtx, err error) {
	v := verification{s: s, http: http, reason: reasonMalformed}
	switch {
	case server.HeaderTooLarge(err):
		v.reason = reasonTooLarge
	case server.CutOff(http.Conn()):
		v.reason, v.err = reasonUnavailable, server.ErrStopping
	}
	v.refuse()
	server.EndUnread(http)
	s.verifyMetrics.answered(v.reason, 0)
	v.audit(context.Background(), 0)
}

// withVerify puts verify before the routes of the API.
func (s *Server) withVerify(base context.Context, others fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(http *fasthttp.RequestCtx) {
		uri := http.Request.Header.RequestURI()
		if !isVerify(uri) {
			others(http)
			return
		}
		named, known := s.policyOf(uri)
		s.verify(base, http, named, known)
	}
}

// isVerify says whether a request is one for verify, by its path as it was sent:
// decoded and cleaned, /verify/p/strict/../lax would name another policy than
// the gateway's.
func isVerify(uri []byte) bool {
	rest, ok := bytes.CutPrefix(uri, []byte(verifyPath))
	return ok && (len(rest) == 0 || rest[0] == '/' || rest[0] == '?')
}

// policyOf returns the policy that a path of verify names, nil if it names
// none. known is false if there is none of that name.
func (s *Server) policyOf(uri []byte) (p *VerifyPolicy, known bool) {
	rest, ok := strings.CutPrefix(string(uri), policyPath)
	if !ok {
		return nil, true
	}
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	p, known = s.config.Verify.Policies[rest]
	return p, known
}
