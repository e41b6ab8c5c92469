package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

// ReadBody reads the request's body, at most limit bytes, to the end of into, and
// returns what into has become, also with an error. Without one, nothing of the
// body is left on the connection.
func ReadBody(http *fasthttp.RequestCtx, into []byte, limit int) ([]byte, error) {
	length := http.Request.Header.ContentLength()
	stream := http.RequestBodyStream()
	if stream == nil || length == 0 || length == -2 {
		return into, nil
	}
	if length > limit {
		return into, TooLarge(limit)
	}
	// A stream may end early without an error; a stated length tells.
	want := length
	if length < 0 { // chunked
		want = limit + 1
	}
	for len(into) < want {
		into = slices.Grow(into, min(want-len(into), 8<<10))
		n, err := stream.Read(into[len(into):min(cap(into), want)])
		into = into[:len(into)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return into, asReadError(http.Conn(), err)
		}
	}
	if length < 0 && len(into) <= limit && !chunksEnded(http.Conn(), stream) {
		return into, truncated(http.Conn())
	}
	switch {
	case length < 0 && len(into) > limit:
		return into, TooLarge(limit)
	case length >= 0 && len(into) < length:
		return into, truncated(http.Conn())
	}
	return into, nil
}

// chunksEnded says whether a chunked body that answers io.EOF has come to its
// end. The stream answers the same where the connection ends between two
// chunks. But only a body at its end answers so without looking at the
// connection, and a connection whose deadline is over answers nothing else.
func chunksEnded(conn net.Conn, stream io.Reader) bool {
	if conn.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	_, err := stream.Read(make([]byte, 1))
	return err == io.EOF
}

// TooLarge refuses a body of more than limit bytes.
func TooLarge(limit int) *refusal.Error {
	return &refusal.Error{
		Code: refusal.Exhausted, HTTP: http.StatusRequestEntityTooLarge,
		Text: fmt.Sprintf("request body too large: at most %d bytes", limit), Close: true,
	}
}

// HasBody says whether a request announces a body.
func HasBody(h *fasthttp.RequestHeader) bool {
	n := h.ContentLength()
	return n != 0 && n != -2
}

// WithoutBody takes the body that a request announces away from it. The server
// would read it, or wait for it, before it asks a handler. What comes of it all
// the same is thrown away with the connection: the handler sees AnnouncedBody.
func WithoutBody(h *fasthttp.RequestHeader) {
	if len(h.PeekCanonical(expectName)) > 0 {
		h.Del(fasthttp.HeaderExpect) // nothing is waited for, so nobody has to wait
	}
	if HasBody(h) || folded(h.RawHeaders()) {
		h.SetContentLength(0)
		h.SetConnectionClose()
	}
}

// folded says whether a header goes on in another line (RFC 9112, 5.2). A proxy
// may take that line for a header, of a body's length for example.
func folded(rawHeaders []byte) bool {
	return bytes.Contains(rawHeaders, []byte("\n ")) || bytes.Contains(rawHeaders, []byte("\n\t"))
}

// AnnouncedBody says whether WithoutBody has taken a body away. It also does of
// a request that states itself that it has no body and closes the connection,
// of which nothing is lost.
func AnnouncedBody(h *fasthttp.RequestHeader) bool {
	return h.ContentLength() == 0 && h.ConnectionClose()
}
