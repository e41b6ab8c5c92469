// Package forward hands requests for sessions on to the ZITADEL that they live in, and its answers back: with the
// caller's own credentials, byte for byte. Look here for what of a request travels, for what is answered when there
// is no answer, and for revocations, which are made there with our account. When a request is handed on, and what is
// kept of an answer, httpapi decides.
package forward

import (
	"context"
	"errors"
	"math"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/valyala/fasthttp"
)

// Call hands a request on. q has what it asks for, and with whose credentials; its method and the headers that travel are
// those of in. The answer is read-only. The error is a *refusal.Error; MayHaveHappened of it is said by unknown: the call may
// have been carried out.
func Call(ctx context.Context, to *upstream.Client, in *fasthttp.RequestCtx, q upstream.Request) (answer *upstream.Answer, unknown bool, err error) {
	q.Method, q.Header = string(in.Method()), http.Header{} // I8
	for key, value := range in.Request.Header.All() {
		q.Header.Add(string(key), string(value)) // I8; what travels, upstream knows
	}
	if answer, err = to.Call(ctx, q); err != nil {
		return nil, !q.Read && upstream.MayHaveHappened(err), refused(err, q.Read)
	}
	return answer, !q.Read && answer.Status >= http.StatusInternalServerError, nil
}

// Unavailable is what is answered where ZITADEL has not answered, for an error that wraps upstream.ErrUnavailable. (I2)
func Unavailable(err error) *refusal.Error {
	e := &refusal.Error{Code: refusal.Unavailable, Text: err.Error()}
	if away, ok := errors.AsType[*upstream.UnavailableError](err); ok {
		e.Text = away.Error()
	}
	if later, ok := errors.AsType[*upstream.RetryLaterError](err); ok {
		e.Text, e.RetryAfter = later.Error(), max(1, int(math.Ceil(later.After.Seconds())))
	}
	if errors.Is(err, upstream.ErrBusy) {
		e.Text = upstream.ErrBusy.Error()
	}
	return e
}

// refused is Unavailable, and says whether a write may have been carried out.
func refused(err error, read bool) error {
	e := Unavailable(err)
	if !read && upstream.MayHaveHappened(err) {
		e.Text += ": look before you repeat it"
	}
	return e
}

// Write makes ZITADEL's answer ours.
func Write(out *fasthttp.RequestCtx, a *upstream.Answer) {
	h := &out.Response.Header
	for name, values := range a.Header {
		h.Del(name)
		for _, value := range values {
			h.Add(name, value)
		}
	}
	out.SetStatusCode(a.Status)
	out.SetBody(a.Body)
}
