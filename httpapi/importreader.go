package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
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
	body, stop := server.StreamBody(ctx, c.http, pause, errUnavailable)
	return &importReader{in: bufio.NewReaderSize(body, limit+1), close: stop}
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
