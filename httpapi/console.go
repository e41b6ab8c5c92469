package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/valyala/fasthttp"
)

// ConsoleCall is what the console asks for somebody who has signed in. Caller and Remote are required.
type ConsoleCall struct {
	// Caller is whose call it is, as Authenticator.ByHash or Anonymous found it a moment ago.
	Caller *caller.Caller
	// Remote is the address of the browser's connection.
	Remote net.Addr
	// From says where the browser is, as TrustedProxies.From does, for the log of writes; nil is not logged.
	From []slog.Attr
	// RequestID names the call in the log, if it is safe to repeat there; else, and if it is "", one is made.
	RequestID string
	// Session is the ID of the session that Get asks for. One that no session can have is not found.
	Session string
	// Body is the request's body, in JSON, of Search, Revoke and Judge. It is read until the call returns.
	Body []byte
	// Progress is told now and then, by the goroutine that called Revoke, how many sessions have been
	// revoked so far, or counted by a dry run; nil is told nothing. It must not wait.
	Progress func(revoked uint64)
}

// ConsoleAnswer is what the API answers. It is the caller's to keep.
type ConsoleAnswer struct {
	// Status is the HTTP status, Body the JSON: of an error it has code, message and details.
	Status int
	Body   []byte
	// RequestID is what the log calls the call.
	RequestID string
	// RetryAfter is after how many seconds to come again; "" does not say.
	RetryAfter string
}

// ConsoleCalls answers the calls of the console. Make it with Server.ForConsole. It is safe for concurrent use.
//
// A call runs through all that a request to the API runs through: the limit of its caller's key, budgets, body
// limits, deadlines, the audit log and metrics, where its protocol is console. It says itself who the caller is:
// nothing that a browser sends is looked at but the Body and the ID that the console hands over.
type ConsoleCalls struct {
	search, get, revoke, judge func(*fasthttp.RequestCtx, *ConsoleCall)
}

// ForConsole returns what answers the calls of the console. Calls under way end with base. It is server.WithDrain's
// if revocations are to end as soon as the server begins to drain.
func (s *Server) ForConsole(base context.Context) *ConsoleCalls {
	answers := func(r *route) func(*fasthttp.RequestCtx, *ConsoleCall) {
		return s.handleCalls(base, r, face{protocol: "console"})
	}
	return &ConsoleCalls{
		search: answers(routeOf("ListSessions")), get: answers(routeOf("GetSession")),
		revoke: answers(routeOf("RevokeSessions")), judge: answers(&judgeRoute),
	}
}

// routeOf returns the route of a call by REST, in the version of the API that is not beta.
func routeOf(call string) *route {
	for i := range routes {
		if r := &routes[i]; r.call == call && !r.beta && r.protocol == protocol.REST {
			return r
		}
	}
	panic("BUG: no route of " + call)
}

// Search answers as POST /v2/sessions/search does.
func (c *ConsoleCalls) Search(q *ConsoleCall) *ConsoleAnswer {
	return q.to(c.search, fasthttp.MethodPost)
}

// Get answers as GET /v2/sessions/{id} does, past all copies in this process.
func (c *ConsoleCalls) Get(q *ConsoleCall) *ConsoleAnswer {
	return q.to(c.get, fasthttp.MethodGet, headerConsistency, string(freshValue))
}

// Revoke answers as POST /v2/sessions/revoke does. It lasts as long as that takes.
func (c *ConsoleCalls) Revoke(q *ConsoleCall) *ConsoleAnswer {
	return q.to(c.revoke, fasthttp.MethodPost)
}

// Judge says whether verify would let somebody pass, as JSON of a verify.Verdict. The Body is {"id":"…"} or
// {"token":"…"}. The status is 200 if that is known, whatever it is; 400 for another body; 403 if the caller may not
// read the session, or all sessions where there is none; 503 if it is not known. (I2)
func (c *ConsoleCalls) Judge(q *ConsoleCall) *ConsoleAnswer {
	return q.to(c.judge, fasthttp.MethodPost)
}

// judgeRoute is asked by the console alone.
var judgeRoute = route{method: fasthttp.MethodPost, path: "/console/api/judge", call: "Judge", class: classRead, do: answer(decodeJudge, (*Server).judge)}

func decodeJudge(c *call) (*request.Judge, error) { return request.DecodeJudge(c.body) }

// judge answers Judge.
func (s *Server) judge(ctx context.Context, c *call, q *request.Judge) error {
	c.place.Leave() // a verify takes one of the same places
	c.place = nil
	var v *verify.Verdict
	if q.ID != "" {
		v = s.verify.JudgeID(ctx, c.http, q.ID)
	} else {
		v = s.verify.JudgeToken(ctx, c.http, []byte(strings.TrimSpace(q.Token))) // as a header is read, and as people paste
	}
	sees := c.caller.Sees()
	switch {
	case v.Status == http.StatusServiceUnavailable:
		return &refusal.Error{Code: refusal.Unavailable, Text: v.Detail}
	case v.Of == nil && !c.caller.Read.All, v.Of != nil && !sees.Match(v.Of):
		return errNothingToSee
	}
	if !c.caller.Read.All {
		hideOrganizations(v)
	}
	body, err := json.Marshal(v)
	c.http.SetBody(body)
	return err
}

// errNothingToSee is the same whether there is such a session or not, so that it tells nobody which.
var errNothingToSee = &refusal.Error{Code: refusal.Denied, Text: "nothing was found that this key may see; only a key with session.read for the whole instance is told why"}

// hideOrganizations takes out of a verdict which organizations policies are for.
func hideOrganizations(v *verify.Verdict) {
	for _, p := range v.Policies {
		for i := range p.Checks {
			if p.Checks[i].Name == "organizations" {
				p.Checks[i].Asks = "some organizations"
			}
		}
	}
}

// to has answer answer q: as a request that has nothing but what q says, a method and headers.
func (q *ConsoleCall) to(answer func(*fasthttp.RequestCtx, *ConsoleCall), method string, headers ...string) *ConsoleAnswer {
	inner := new(fasthttp.RequestCtx)
	inner.Init(new(fasthttp.Request), q.Remote, nil)
	inner.SetUserValue("id", q.Session)
	h := &inner.Request.Header
	h.SetMethod(method)
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	if q.RequestID != "" {
		h.Set(server.HeaderRequestID, q.RequestID)
	}
	if len(q.Body) > 0 {
		h.SetContentType(contentTypeJSON)
		inner.Request.SetBodyStream(bytes.NewReader(q.Body), len(q.Body))
	}
	answer(inner, q)
	return &ConsoleAnswer{
		Status: inner.Response.StatusCode(), Body: inner.Response.SwapBody(nil),
		RequestID: string(inner.Response.Header.Peek(server.HeaderRequestID)), RetryAfter: string(inner.Response.Header.Peek(fasthttp.HeaderRetryAfter)),
	}
}
