package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// streamedBody reads a request's body as it comes. Each read may take as long
// as pause, in place of the bound that other requests have as a whole.
type streamedBody struct {
	ctx    context.Context
	conn   net.Conn
	stream io.Reader
	pause  time.Duration
	// left is how many bytes of the stated length have not come yet; negative
	// if none was stated.
	left int
	// cut is the error once ctx has ended.
	cut error
}

// StreamBody returns the body of a request, whose client may be silent for
// pause at a time. When ctx ends, a Read fails with cut, also one that waits. stop
// ends the interest in ctx, and must be called before the caller ends ctx itself.
func StreamBody(ctx context.Context, http *fasthttp.RequestCtx, pause time.Duration, cut error) (body io.Reader, stop func() bool) {
	b := &streamedBody{
		ctx: ctx, conn: http.Conn(), stream: http.RequestBodyStream(), pause: pause,
		left: http.Request.Header.ContentLength(), cut: cut,
	}
	if b.stream == nil {
		b.stream = bytes.NewReader(nil)
	}
	wake := func() { _ = b.conn.SetReadDeadline(time.Unix(1, 0)) }
	return b, context.AfterFunc(ctx, wake)
}

func (b *streamedBody) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(b.pause)); err != nil {
		return 0, truncated(b.conn)
	}
	// The context's end sets a deadline in the past. If that came before the
	// deadline above, it is seen here; if it comes after, the read sees it.
	if b.ctx.Err() != nil {
		return 0, b.cut
	}
	n, err := b.stream.Read(p)
	if b.left >= 0 {
		b.left -= n
	}
	switch {
	case err == io.EOF && (b.left > 0 || b.left < 0 && !chunksEnded(b.conn, b.stream)):
		return n, truncated(b.conn)
	case err == nil || err == io.EOF:
		return n, err
	}
	return n, asReadError(b.conn, err)
}
