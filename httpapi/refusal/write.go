package refusal

import (
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/valyala/fasthttp"
)

// Write makes e the answer, as a google.rpc.Status in JSON, in place of what was
// written so far.
func Write(http *fasthttp.RequestCtx, e *Error) {
	WriteAs(http, e, e.Status(), appendError(nil, e))
}

// WriteAs is Write with a status and a body of the caller's, in JSON: for protocols
// that have another form of errors.
func WriteAs(http *fasthttp.RequestCtx, e *Error, status int, body []byte) {
	h := &http.Response
	h.ResetBody()
	h.SetStatusCode(status)
	h.Header.SetContentType("application/json")
	switch e.Code {
	case Unauthorised:
		h.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="cloakroom"`)
	case Unavailable:
		h.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	if e.RetryAfter > 0 {
		h.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(e.RetryAfter))
	}
	if e.Close {
		h.SetConnectionClose()
	}
	h.AppendBody(body)
}

// appendError writes e as a google.rpc.Status.
func appendError(b []byte, e *Error) []byte {
	b = append(b, `{"code":`...)
	b = strconv.AppendInt(b, int64(e.Code), 10)
	b = append(b, `,"message":`...)
	b = protojson.AppendString(b, e.Error())
	if e.ID != "" {
		b = append(b, `,"details":[{"@type":"type.googleapis.com/zitadel.v1.ErrorDetail","id":`...)
		b = protojson.AppendString(b, e.ID)
		b = append(b, `,"message":`...)
		b = protojson.AppendString(b, e.Text)
		b = append(b, `}]`...)
	}
	if e.Explain != "" {
		b = append(append(b, `,"explain":`...), e.Explain...)
	}
	return append(append(b, e.Members...), '}')
}
