package httpapi

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

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
	server := newHTTPServer(s.log, s.limits, s.config.MaxHeaderBytes)
	server.Handler = func(http *fasthttp.RequestCtx) { s.verify(base, http, nil, true) }
	server.ErrorHandler = s.refuseVerify
	server.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		h.SetRequestURI("/") // a client's, which may be anything
		withoutBody(h)
		return fasthttp.RequestConfig{}
	}
	return serve(ctx, s.log, server, ln, shutdownTimeout, s.limits.idleAtEnd, cut)
}

// refuseVerify answers what never became a request: 401 or 403, which a gateway
// takes for a refusal, and not for a failure of ours. To log in again makes no
// header smaller: so that is 403. A header that the end of the server has cut off
// says nothing about its token: 503.
func (s *Server) refuseVerify(http *fasthttp.RequestCtx, err error) {
	v := verification{s: s, http: http, reason: reasonMalformed}
	switch {
	case headerTooLarge(err):
		v.reason = reasonTooLarge
	case cutOff(http.Conn()):
		v.reason, v.err = reasonUnavailable, errStopping
	}
	v.refuse()
	endUnread(http)
	s.verifyMetrics.answered(v.reason, 0)
	v.audit(context.Background(), 0)
}

// withoutBody takes the body that a request announces away from it. The server
// would read it, or wait for it, before it asks a handler. What comes of it all
// the same is thrown away with the connection: the handler sees announcedBody.
func withoutBody(h *fasthttp.RequestHeader) {
	if len(h.PeekCanonical(expectName)) > 0 {
		h.Del(fasthttp.HeaderExpect) // nothing is waited for, so nobody has to wait
	}
	if hasBody(h) || folded(h.RawHeaders()) {
		h.SetContentLength(0)
		h.SetConnectionClose()
	}
}

// folded says whether a header goes on in another line (RFC 9112, 5.2). A proxy
// may take that line for a header, of a body's length for example.
func folded(rawHeaders []byte) bool {
	return bytes.Contains(rawHeaders, []byte("\n ")) || bytes.Contains(rawHeaders, []byte("\n\t"))
}

// announcedBody says whether withoutBody has taken a body away. It also does of
// a request that states itself that it has no body and closes the connection,
// of which nothing is lost.
func announcedBody(h *fasthttp.RequestHeader) bool {
	return h.ContentLength() == 0 && h.ConnectionClose()
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
