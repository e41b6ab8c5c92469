package server

import (
	"bytes"
	"errors"

	"github.com/valyala/fasthttp"
)

// A client may announce its body and wait for leave to send it (RFC 9110,
// 10.1.1). The route's handler then runs twice: first for the headers alone,
// which end with ErrContinue or with a refusal, then with the body.

// ErrContinue is no answer: the client may send the body that it has announced.
var ErrContinue = errors.New("the body may be sent")

var (
	expectName    = []byte(fasthttp.HeaderExpect)
	continueValue = []byte("100-continue")
)

// prefetch is how much of a body the server reads before a handler is asked; it
// cannot be told to read nothing.
const prefetch = 1

// The keys of what is noted at a request between the two runs.
type (
	expectKey struct{}
	admitKey  struct{}
)

// StreamBodies makes s leave bodies to its handler, which reads them with ReadBody
// or StreamBody, each with a bound of its own, or refuses them unread. It is
// called when s has its Handler. refused says by the headers of a request with a body
// whether the handler refuses it anyway: the server, which else waits for the first
// byte of the body, then asks at once. It may change the headers, and is asked before
// anything else; a body that it takes away is not waited for.
func StreamBodies(s *fasthttp.Server, refused func(*fasthttp.RequestHeader) bool) {
	s.StreamRequestBody = true
	s.MaxRequestBodySize = prefetch
	s.ExpectHandler = expect(s.Handler)
	s.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		if HasBody(h) {
			plainExpectation(h)
			if refused(h) {
				// It is taken for a request whose client waits for leave, and no
				// handler gives leave to it.
				h.SetCanonical(expectName, continueValue)
			}
		}
		return fasthttp.RequestConfig{}
	}
}

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

// RunsTwice says whether the server runs the handler a second time, if the first
// run has given leave. Only the first run pays.
func RunsTwice(ctx *fasthttp.RequestCtx) bool { return ctx.Request.MayContinue() }

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

// Expected says whether the client waits for leave to send its body: this run of the
// handler has none.
func Expected(ctx *fasthttp.RequestCtx) bool { return ctx.UserValue(expectKey{}) != nil }

// Admit gives the client leave to send its body.
func Admit(ctx *fasthttp.RequestCtx) { ctx.SetUserValue(admitKey{}, true) }
