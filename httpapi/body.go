package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
)

// maxKeptBody is the largest buffer that waits for the next request.
const maxKeptBody = 64 << 10

// readBody reads the request's body into c.body, at most limit bytes.
func (c *call) readBody(limit int) error {
	c.body = c.body[:0]
	length := c.http.Request.Header.ContentLength()
	stream := c.http.RequestBodyStream()
	if stream == nil || length == 0 || length == -2 {
		c.bodyRead = true
		return nil
	}
	if length > limit {
		return tooLarge(limit)
	}
	// A stream may end early without an error; a stated length tells.
	want := length
	if length < 0 { // chunked
		want = limit + 1
	}
	for len(c.body) < want {
		c.body = slices.Grow(c.body, min(want-len(c.body), 8<<10))
		n, err := stream.Read(c.body[len(c.body):min(cap(c.body), want)])
		c.body = c.body[:len(c.body)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return asReadError(c.http.Conn(), err)
		}
	}
	if length < 0 && len(c.body) <= limit && !chunksEnded(c.http.Conn(), stream) {
		return truncated(c.http.Conn())
	}
	switch {
	case length < 0 && len(c.body) > limit:
		return tooLarge(limit)
	case length >= 0 && len(c.body) < length:
		return truncated(c.http.Conn())
	}
	c.bodyRead = true
	return nil
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

func tooLarge(limit int) *refusal.Error {
	return &refusal.Error{
		Code: refusal.Exhausted, HTTP: http.StatusRequestEntityTooLarge,
		Text: fmt.Sprintf("request body too large: at most %d bytes", limit), Close: true,
	}
}
