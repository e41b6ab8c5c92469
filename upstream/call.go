package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Request is one call.
type Request struct {
	// Name is that of the call in metrics. There are few: it must not come from a caller.
	Name string
	// Method and Path are those of the request line; the path begins with a slash, and has the query.
	Method, Path string
	// Header are headers of a caller; only some travel (requestHeaders). nil has none.
	Header http.Header
	// Body is copied.
	Body []byte
	// As says with whose credentials the call is made.
	As Authorization
	// Read says that the call changes nothing: it is sent again if its connection breaks before an
	// answer begins. GET and HEAD are, too. All others are sent once: again only where they have certainly not been
	// taken, because nothing was written, because HTTP/2 says so, or because the answer was 401 to a
	// token of ours that has ended.
	Read bool

	// asUs says that the call is ours, though As is not: it has our share of the places, a pause that ZITADEL asks us for holds it back, and it may ask for one in its answer.
	asUs bool
}

// Answer is what was answered to a call, whatever its status. A status of 500 and above does not say
// that a call that changes something has not been carried out. It is read-only.
type Answer struct {
	Status int
	// Header has no headers that are for the next hop only, and no cookies (answerHeaders).
	Header http.Header
	Body   []byte
	// Sent is when the call was sent, no later: what it shows was true then or afterwards.
	Sent time.Time
	// date is its Date: when it was answered, by the clock of who answered; zero if it has none.
	date time.Time
}

// Call makes a call. An error says that there is no answer that is complete: it wraps ErrUnavailable,
// unless the path is none. All statuses are answers, redirects among them, which are not followed. 429 and
// 503 are answers, too; which later calls they hold back, is said at RetryLaterError.
func (c *Client) Call(ctx context.Context, q Request) (*Answer, error) {
	began := time.Now()
	a, err := c.call(ctx, &q)
	c.metrics.done(q.Name, a, err, time.Since(began))
	return a, err
}

func (c *Client) call(ctx context.Context, q *Request) (*Answer, error) {
	target, err := c.target(q.Path)
	if err != nil {
		return nil, err
	}
	q.Body = slices.Clone(q.Body) // a connection may read it after the answer
	timed, cancel := context.WithTimeoutCause(ctx, c.timeout, errLate)
	defer cancel()
	if err := c.mayAsk(q); err != nil {
		return nil, err
	}
	switch err := c.places.take(timed, q.ours()); {
	case errors.Is(err, ErrBusy):
		return nil, err
	case err != nil:
		return nil, c.failure(timed, err, false)
	}
	defer c.places.giveBack(q.ours())
	if err := c.mayAsk(q); err != nil { // things may have changed
		return nil, err
	}
	if !q.As.ours {
		return c.exchange(timed, q, target, q.As.value)
	}
	for again := false; ; again = true {
		token, err := c.ourToken(timed)
		if err != nil {
			return nil, err
		}
		a, err := c.exchange(timed, q, target, "Bearer "+token.value)
		if err != nil {
			return nil, err
		}
		if a.Status == http.StatusUnauthorized && !again && c.service.renews(token) {
			continue
		}
		c.service.judged(c.log, a.Status != http.StatusUnauthorized)
		return a, nil
	}
}

// reads says that the call changes nothing.
func (q *Request) reads() bool {
	return q.Read || q.Method == http.MethodGet || q.Method == http.MethodHead
}

// ours says that we ask, and nobody's call is handed on.
func (q *Request) ours() bool { return q.As.ours || q.asUs }

// mayAsk says why a call must not be made now.
func (c *Client) mayAsk(q *Request) error {
	if left := c.pauses.left(q.ours(), time.Now()); left > 0 {
		return &RetryLaterError{After: left}
	}
	return c.circuit.open()
}

// exchange sends a call and reads its answer.
func (c *Client) exchange(ctx context.Context, q *Request, target *url.URL, authorization string) (*Answer, error) {
	done, err := c.circuit.allow()
	if err != nil {
		return nil, err
	}
	shown := errNothingShown
	defer func() { done(shown) }()

	// A call that is no read gets another connection only where it was not taken on the last one.
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { sent.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	req, err := http.NewRequestWithContext(traced, q.Method, c.base.String(), bodyOf(q))
	if err != nil {
		return nil, &UnavailableError{Reason: "the call cannot be sent: its method is none"}
	}
	req.URL, req.Host, req.Header = target, c.host, travels(q.Header)
	req.Header.Set("User-Agent", "cloakroom")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if q.Read {
		req.Header["X-Idempotency-Key"] = []string{} // lets net/http send it again, and is not sent itself
	}
	a := &Answer{Sent: time.Now()}
	if err := c.roundTrip(req, a); err != nil {
		failure := c.failure(ctx, err, sent.Load() && !q.reads())
		if failure.cause == nil && c.tasks.ctx.Err() == nil {
			shown = c.circuit.failed(failure.Reason)
		}
		return nil, failure
	}
	shown = c.circuit.answered(a)
	c.pauses.note(a, q.ours(), time.Now())
	return a, nil
}

// bodyOf returns the body of a call in a form that can be sent again where nothing of it was taken.
func bodyOf(q *Request) io.Reader {
	if len(q.Body) == 0 {
		return http.NoBody
	}
	return strings.NewReader(string(q.Body))
}

func (c *Client) roundTrip(req *http.Request, a *Answer) error {
	res, err := c.transport.Load().RoundTrip(req) // no http.Client: that follows redirects, and shows URLs
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	a.date, _ = http.ParseTime(res.Header.Get("Date")) // which stays here
	a.Status, a.Header = res.StatusCode, returns(res.Header)
	if res.ContentLength > int64(c.answerBytes) && req.Method != http.MethodHead {
		return errLarge(c.answerBytes)
	}
	if a.Body, err = io.ReadAll(io.LimitReader(res.Body, int64(c.answerBytes)+1)); err != nil {
		return err
	}
	if len(a.Body) > c.answerBytes {
		return errLarge(c.answerBytes)
	}
	return nil
}

func statusReason(status int) string { return fmt.Sprintf("it answered %d", status) }
