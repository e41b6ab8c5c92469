package httpapi

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// A client may announce its body and wait for leave to send it (RFC 9110,
// 10.1.1). The route's handler then runs twice: first for the headers alone,
// which end with errContinue or with a refusal, then with the body.

// prefetch is how much of a body the server reads before a handler is asked; it
// can not be told to read nothing.
const prefetch = 1

// The keys of what is noted at a request between the two runs.
type (
	expectKey struct{}
	admitKey  struct{}
)

// expect is the server's ExpectHandler. It answers 100, or the status of the
// refusal that handler has written.
func expect(handler fasthttp.RequestHandler) func(*fasthttp.RequestCtx) int {
	return func(ctx *fasthttp.RequestCtx) int {
		ctx.SetUserValue(expectKey{}, true)
		handler(ctx)
		admitted := ctx.UserValue(admitKey{}) != nil
		ctx.ResetUserValues()
		if admitted {
			ctx.Response.Reset()
			return fasthttp.StatusContinue
		}
		forget(ctx)
		return ctx.Response.StatusCode()
	}
}

// runsTwice says whether the server runs the handler a second time, if the first
// run has given leave. Only the first run pays.
func runsTwice(ctx *fasthttp.RequestCtx) bool { return ctx.Request.MayContinue() }

// plainExpectation makes the server see an expectation whatever its case, and
// none in a request of HTTP/1.0, which knows none (RFC 9110, 10.1.1).
func plainExpectation(h *fasthttp.RequestHeader) {
	switch v := h.PeekCanonical(expectName); {
	case len(v) == 0:
	case !h.IsHTTP11():
		h.Del(fasthttp.HeaderExpect)
	case bytes.EqualFold(v, continueValue):
		h.SetCanonical(expectName, continueValue)
	}
}

// expected says whether the client waits for leave to send its body.
func expected(ctx *fasthttp.RequestCtx) bool { return ctx.UserValue(expectKey{}) != nil }

// admit gives that leave.
func admit(ctx *fasthttp.RequestCtx) { ctx.SetUserValue(admitKey{}, true) }

// refuseUnread is the server's HeaderReceived. The server waits for the first
// byte of a body before it asks a handler. A request without credentials, or a
// logout that is refused anyway, is answered without: it is taken for one whose
// client waits for leave, and no route gives leave to it.
func (s *Server) refuseUnread(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if isVerify(h.RequestURI()) {
		withoutBody(h)
		return fasthttp.RequestConfig{}
	}
	if !hasBody(h) {
		return fasthttp.RequestConfig{}
	}
	plainExpectation(h)
	refused := !s.config.Anonymous && len(h.PeekCanonical(authorizationName)) == 0
	if isLogout(h.RequestURI()) {
		refused = s.refuseLogout(h) != nil
	}
	if refused {
		h.Set(fasthttp.HeaderExpect, "100-continue")
	}
	return fasthttp.RequestConfig{}
}
