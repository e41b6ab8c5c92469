package console

import (
	"strconv"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

// asks is what the API is asked on behalf of who has sent r.
func (r *request) asks(body []byte) *httpapi.ConsoleCall {
	return &httpapi.ConsoleCall{Caller: r.who.caller, Remote: r.http.RemoteAddr(), From: r.from, RequestID: r.id, Body: body}
}

// relay makes what the API has answered the answer.
func (r *request) relay(answer *httpapi.ConsoleAnswer) {
	if answer.RetryAfter != "" {
		r.http.Response.Header.Set(fasthttp.HeaderRetryAfter, answer.RetryAfter)
	}
	r.http.SetStatusCode(answer.Status)
	r.http.SetBody(answer.Body)
}

// search answers POST search.
func (c *Console) search(r *request, _ string) error {
	body, err := r.body()
	if err == nil {
		r.relay(r.on.calls.Search(r.asks(body)))
	}
	return err
}

// session answers GET sessions/{id}.
func (c *Console) session(r *request, id string) error {
	q := r.asks(nil)
	q.Session = id
	r.relay(r.on.calls.Get(q))
	return nil
}

// judge answers POST judge.
func (c *Console) judge(r *request, _ string) error {
	body, err := r.body()
	defer clear(body) // it may have a token
	if err == nil {
		r.relay(r.on.calls.Judge(r.asks(body)))
	}
	return err
}

// live answers GET live: what has changed since the point that the page has. Who may not see all sessions is told less.
func (c *Console) live(r *request, _ string) error {
	after := int64(-1)
	if args := r.http.QueryArgs(); args.Has("after") {
		n, err := strconv.ParseInt(string(args.Peek("after")), 10, 64)
		if err != nil || n < 0 {
			return errAfter
		}
		after = n
	}
	whole := r.who.caller.Read.All
	r.http.Response.Header.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	if r.http.Request.Header.HasAcceptEncoding("gzip") {
		r.http.Response.Header.SetContentEncoding("gzip")
		r.http.SetBody(c.config.Live.AnswerGzip(after, whole))
	} else {
		r.http.SetBody(c.config.Live.Answer(after, whole))
	}
	return nil
}

var errAfter = &refusal.Error{Code: refusal.Invalid, Text: "after must be a whole number, the seq of the last answer"}
