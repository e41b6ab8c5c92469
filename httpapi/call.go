package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/deadline"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/valyala/fasthttp"
)

// call is one request and its answer. Handlers must not keep it, nor its bytes.
// What they take from it as a string is a copy. (I8)
type call struct {
	http   *fasthttp.RequestCtx
	route  *route
	caller *caller.Caller
	// console is the call of the console that this is; nil if it is none.
	console *ConsoleCall
	// start is when the request's headers had been read.
	start time.Time

	requestID []byte
	// id is the session ID in the path, or in the body where the path has none; not checked.
	id string
	// timeout is how long the caller says it waits; 0 is not said.
	timeout time.Duration
	// body is the request's body; bodyRead says that nothing of it is left on
	// the connection.
	body     []byte
	bodyRead bool
	// place is where the call has a place; nil is none.
	place *server.Budget
	// fresh says that no copy of a session in this process may be used.
	fresh bool
	// session is the ID of the session that the call is about, for the log.
	session session.ID
	// logged is what else the log has of the call.
	logged []slog.Attr
	// out is the answer under way, from begin to end.
	out []byte
	// search names a search whose page may be kept; empty else.
	search []byte
}

var calls = sync.Pool{New: func() any { return new(call) }}

// face is where requests come in.
type face struct {
	// protocol is what they are spoken by, for metrics; "" is the route's.
	protocol string
	// loopbackOnly is that of server.Guard.
	loopbackOnly bool
}

// handle makes the server's handler of a route for requests whose headers say whose they are.
func (s *Server) handle(base context.Context, r *route, f face) fasthttp.RequestHandler {
	answer := s.handleCalls(base, r, f)
	return func(ctx *fasthttp.RequestCtx) { answer(ctx, nil) }
}

// handleCalls makes what answers requests to a route, of the console unless its call is nil: it guards,
// authenticates, reads, asks the route's own handler, maps its error, counts and logs. All of it happens
// here and only here.
func (s *Server) handleCalls(base context.Context, r *route, f face) func(*fasthttp.RequestCtx, *ConsoleCall) {
	counts := s.metrics.Of(r.label(), cmp.Or(f.protocol, r.protocol.String()))
	return func(ctx *fasthttp.RequestCtx, console *ConsoleCall) {
		base := base
		c := calls.Get().(*call)
		c.http, c.route, c.console, c.start = ctx, r, console, time.Now()
		if console != nil {
			c.caller = console.Caller
			if console.Context != nil {
				base = console.Context
			}
		}
		c.requestID = server.AppendRequestID(c.requestID, ctx)
		ctx.Response.Header.SetContentType(contentTypeJSON)
		ctx.Response.Header.SetCanonical(cacheControlName, noStore)

		err := s.run(base, c, f.loopbackOnly)
		if err == server.ErrContinue {
			server.Admit(ctx)
			c.release()
			return
		}
		var e *refusal.Error
		if err != nil {
			e = asAPIError(err)
			r.protocol.WriteError(ctx, e)
		}
		if !c.bodyRead && server.HasBody(&ctx.Request.Header) {
			server.CloseUnread(ctx)
		}
		took := time.Since(c.start)
		counts.Answered(ctx.Response.StatusCode(), took)
		s.audit(base, c, e, err, took)
		c.release()
	}
}

// run answers c, or says why not.
func (s *Server) run(base context.Context, c *call, loopbackOnly bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.bug(p, string(c.requestID), c.route.call)
		}
	}()
	if err := server.Guard(c.http, loopbackOnly); err != nil {
		return err
	}
	if !c.route.open || !c.route.connect() { // else there is no such procedure
		if c.timeout, err = c.route.protocol.Check(&c.http.Request.Header); err != nil {
			return err
		}
	}
	// What is refused here is refused unread: a caller without credentials gets no
	// memory for a body.
	if c.route.open {
		return s.do(base, c)
	}
	// Nor does one too many: neither the store nor an issuer is asked about it.
	if c.place = s.budgets[c.route.class]; !c.place.Enter() {
		return c.refuseShed()
	}
	defer func() { c.place.Leave() }()
	if c.timeout > 0 {
		return s.within(base, c)
	}
	return s.admitted(base, c)
}

// admitted answers c, whose headers are in order.
func (s *Server) admitted(base context.Context, c *call) (err error) {
	if err := c.consistency(); err != nil {
		return err
	}
	asked := time.Now()
	if c.caller == nil {
		c.caller, err = s.Callers.Authenticate(base, c.http.Request.Header.PeekCanonical(authorizationName), c.fresh, s.limits.request)
		if err != nil {
			return err
		}
	}
	authenticated := time.Since(asked)
	if err := c.limit(); err != nil {
		c.passBody()
		return err
	}
	c.id = pathID(c.http)
	if !c.route.streams && c.http.Request.Header.ContentLength() > s.config.MaxBodyBytes {
		return server.TooLarge(s.config.MaxBodyBytes)
	}
	if server.Expected(c.http) {
		return server.ErrContinue
	}
	ctx := base
	if c.route.writes {
		base = c.withRequestID(base)
		ctx = base
	}
	if !c.route.streams {
		if err := c.awaitBody(s.config.MaxBodyBytes); err != nil {
			return err
		}
	}
	if !c.route.streams && !c.route.lasts {
		// The server's own context must not be handed on: it is reused, and
		// never ends.
		begin := c.start
		switch { // a body, or an issuer, may have been slow
		case c.caller.Remote:
			begin = time.Now()
		case len(c.body) > 0:
			begin = time.Now().Add(-authenticated)
		}
		timed := deadline.Lazy(base, begin.Add(s.limits.request))
		defer timed.End()
		ctx = timed
	}
	return s.do(ctx, c)
}

// do answers c, which may be answered.
func (s *Server) do(ctx context.Context, c *call) error {
	if s.config.Upstream != nil && c.route.upstream != nil {
		return c.route.upstream(s, ctx, c)
	}
	return c.route.do(s, ctx, c)
}

// within answers c before its caller's deadline, or says that it is over. It is
// counted from the request's headers on.
func (s *Server) within(base context.Context, c *call) error {
	end := c.start.Add(c.timeout)
	timed := deadline.Lazy(base, end)
	defer timed.End()
	err := s.admitted(timed, c)
	if err == nil || err == server.ErrContinue {
		return err
	}
	// A store that could not be asked until then is not "unavailable". The clock
	// decides: a connection's own timer may fire before the context's. (I2)
	if asAPIError(err) == errUnavailable && !time.Now().Before(end) {
		return protocol.ErrTooLate
	}
	return err
}

// limit takes a token of the caller's key for c. A client that waits for leave
// to send its body has its handler run twice, and pays once.
func (c *call) limit() error {
	if !c.caller.Limited() || server.RunsTwice(c.http) && !server.Expected(c.http) {
		return nil
	}
	return c.caller.Take(c.start)
}

// bug logs a panic and returns what the caller is told: nothing of it.
func (s *Server) bug(panicked any, requestID, call string) error {
	s.log.Error("a request failed by a bug", "request_id", requestID, "call", call,
		"panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
	return &refusal.Error{Code: refusal.Internal, Text: "An internal error occurred: request " + requestID, Close: true}
}

// pathID returns the session ID in the path, of which the router has made a
// copy (I8). Some clients escape the colon that an ID may have.
func pathID(http *fasthttp.RequestCtx) string {
	raw, _ := http.UserValue("id").(string)
	if strings.IndexByte(raw, '%') < 0 {
		return raw
	}
	id, err := url.PathUnescape(raw)
	if err != nil {
		return raw // no ID has a percent sign
	}
	return id
}

// param returns the value of a query parameter under any of its names, and
// whether it is there. Given twice, it is refused: which one counts would be
// anybody's guess.
func (c *call) param(names ...string) (value string, given bool, err error) {
	args := c.http.QueryArgs()
	if args.Len() == 0 {
		return "", false, nil
	}
	for _, name := range names {
		for _, v := range args.PeekMulti(name) {
			if given {
				return "", false, &refusal.Error{Code: refusal.Invalid, Text: "the query parameter " + names[0] + " is given twice"}
			}
			value, given = string(v), true
		}
	}
	return value, given, nil
}

// readBody reads the request's body into c.body, at most limit bytes.
func (c *call) readBody(limit int) (err error) {
	c.body, err = server.ReadBody(c.http, c.body[:0], limit)
	c.bodyRead = c.bodyRead || err == nil
	return err
}

// maxKeptBody is the largest buffer that waits for the next request.
const maxKeptBody = 64 << 10

// release gives c back. Buffers of ordinary size stay with it.
func (c *call) release() {
	body := c.body
	if cap(body) > maxKeptBody {
		body = nil
	}
	clear(body) // it may hold a secret
	*c = call{body: body[:0], requestID: c.requestID[:0], search: c.search[:0]}
	calls.Put(c)
}
