package imports

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errLineTooLong says that a line does not fit; it was passed over.
var errLineTooLong = errors.New("line too long")

// lines reads the lines of a body.
type lines struct {
	in     *bufio.Reader
	number uint64
}

// newLines reads body line by line, of at most limit bytes each.
func newLines(body io.Reader, limit int) *lines {
	return &lines{in: bufio.NewReaderSize(body, limit+1)}
}

// limit is the length of the longest line.
func (r *lines) limit() int { return r.in.Size() - 1 }

// next returns the next line that is not blank, and its number, which counts
// from 1 and is 0 at the end. The line is good until the next call. After
// errLineTooLong there may be further lines, after another error there are none.
func (r *lines) next() (line []byte, number uint64, err error) {
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
func (r *lines) skip() error {
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
