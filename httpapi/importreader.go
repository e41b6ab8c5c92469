package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// maxLineExtra is how much longer a line may be than twice a session: spaces,
// escapes, creator and token.
const maxLineExtra = 4096

// errLineTooLong says that a line does not fit; it was passed over.
var errLineTooLong = errors.New("line too long")

// importReader reads the lines of a request's body.
type importReader struct {
	in     *bufio.Reader
	number uint64
	// close ends the reader's interest in its context.
	close func() bool
}

// newImportReader reads the body of c, line by line of at most limit bytes.
// The client may be silent for pause at a time. When ctx ends, reading fails.
// The caller closes the reader before it ends ctx itself.
func newImportReader(ctx context.Context, c *call, pause time.Duration, limit int) *importReader {
	body := &streamedBody{
		ctx: ctx, conn: c.http.Conn(), stream: c.http.RequestBodyStream(), pause: pause,
		left: c.http.Request.Header.ContentLength(),
	}
	if body.stream == nil {
		body.stream = bytes.NewReader(nil)
	}
	wake := func() { _ = body.conn.SetReadDeadline(time.Unix(1, 0)) }
	return &importReader{in: bufio.NewReaderSize(body, limit+1), close: context.AfterFunc(ctx, wake)}
}

// limit is the length of the longest line.
func (r *importReader) limit() int { return r.in.Size() - 1 }

// next returns the next line that is not blank, and its number, which counts
// from 1 and is 0 at the end. The line is good until the next call. After
// errLineTooLong there may be further lines, after another error there are none.
func (r *importReader) next() (line []byte, number uint64, err error) {
	for {
		line, err = r.in.ReadSlice('\n')
		if len(line) == 0 && err == io.EOF {
			return nil, 0, nil
		}
		r.number++
		if err == bufio.ErrBufferFull {
			if err = r.skip(); err == nil {
				err = errLineTooLong
			}
			return nil, r.number, err
		}
		if err != nil && err != io.EOF {
			return nil, r.number, err
		}
		if line = bytes.TrimRight(line, " \t\r\n"); len(line) > 0 {
			return line, r.number, nil
		}
	}
}

// skip passes over the rest of a line.
func (r *importReader) skip() error {
	for {
		_, err := r.in.ReadSlice('\n')
		switch err {
		case bufio.ErrBufferFull:
		case nil, io.EOF:
			return nil
		default:
			return err
		}
	}
}

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
}

func (b *streamedBody) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(b.pause)); err != nil {
		return 0, truncated(b.conn)
	}
	// The context's end sets a deadline in the past. If that came before the
	// deadline above, it is seen here; if it comes after, the read sees it.
	if b.ctx.Err() != nil {
		return 0, errUnavailable
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
