package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	maxHead = 64 << 10
	maxBody = 256 << 20
)

// answer is one HTTP answer. Its body is valid until the next one is read.
type answer struct {
	status int
	body   []byte
	bytes  int  // all that were read for it
	close  bool // the server closes the connection after it
}

// answerReader reads HTTP/1.1 answers, and no more of HTTP than the programs
// that are measured send. It costs much less than a client library: generator
// and server share the cores.
type answerReader struct {
	src     io.Reader
	buf     []byte
	r, w    int // buf[r:w] is read, but not used
	chunked []byte
}

func newAnswerReader(src io.Reader) *answerReader {
	return &answerReader{src: src, buf: make([]byte, 16<<10)}
}

var (
	endOfHead = []byte("\r\n\r\n")
	endOfLine = []byte("\r\n")
	version11 = []byte("HTTP/1.1 ")

	errChunk = errors.New("malformed chunk")
)

// read reads one answer into a.
func (ar *answerReader) read(a *answer) error {
	a.bytes = 0
	for {
		head, err := ar.head()
		if err != nil {
			return err
		}
		length, chunked, err := parseHead(head, a)
		if err != nil {
			return err
		}
		a.bytes += len(head)
		switch {
		case a.status < 200:
			continue // 100 Continue
		case a.status == 204 || a.status == 304:
			a.body = nil
			return nil
		case chunked:
			return ar.readChunks(a)
		case length < 0:
			return errors.New("neither Content-Length nor chunked")
		}
		a.body, err = ar.take(length)
		a.bytes += length
		return err
	}
}

// head returns the bytes up to and with the empty line, valid until more is read.
func (ar *answerReader) head() ([]byte, error) {
	for from := 0; ; {
		if i := bytes.Index(ar.buf[ar.r+from:ar.w], endOfHead); i >= 0 {
			n := from + i + len(endOfHead)
			head := ar.buf[ar.r : ar.r+n]
			ar.r += n
			return head, nil
		}
		have := ar.w - ar.r
		if have > maxHead {
			return nil, fmt.Errorf("headers of more than %d bytes", maxHead)
		}
		from = max(0, have-len(endOfHead)+1)
		if err := ar.fill(); err != nil {
			if have > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// parseHead takes the status, and what ends the body, from an answer's head.
func parseHead(head []byte, a *answer) (length int, chunked bool, err error) {
	line, rest, _ := bytes.Cut(head, endOfLine)
	if len(line) < len(version11)+3 || !bytes.HasPrefix(line, version11) {
		return 0, false, fmt.Errorf("not an HTTP/1.1 status line: %.40q", line)
	}
	a.status, a.close = 0, false
	for _, c := range line[len(version11) : len(version11)+3] {
		if c < '0' || c > '9' {
			return 0, false, fmt.Errorf("not an HTTP/1.1 status line: %.40q", line)
		}
		a.status = a.status*10 + int(c-'0')
	}
	length = -1
	for len(rest) > len(endOfLine) {
		line, rest, _ = bytes.Cut(rest, endOfLine)
		switch { // the first byte and the colon tell most others apart
		case headerIs(line, "content-length"):
			if length, err = number(bytes.TrimSpace(line[len("content-length:"):]), 10); err != nil {
				return 0, false, fmt.Errorf("bad Content-Length: %w", err)
			}
		case headerIs(line, "transfer-encoding"):
			chunked = bytes.EqualFold(bytes.TrimSpace(line[len("transfer-encoding:"):]), []byte("chunked"))
		case headerIs(line, "connection"):
			a.close = bytes.EqualFold(bytes.TrimSpace(line[len("connection:"):]), []byte("close"))
		}
	}
	return length, chunked, nil
}

// headerIs reports whether line is the header with that name, in lower case.
func headerIs(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && line[0]|0x20 == name[0] && bytes.EqualFold(line[:len(name)], []byte(name))
}

func number(b []byte, base int) (int, error) {
	n, err := strconv.ParseUint(string(b), base, 31)
	if err == nil && n > maxBody {
		err = fmt.Errorf("a body of %d bytes", n)
	}
	return int(n), err
}

// readChunks reads a chunked body into a buffer of its own.
func (ar *answerReader) readChunks(a *answer) error {
	ar.chunked = ar.chunked[:0]
	for {
		line, err := ar.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line[:len(line)-2], []byte(";"))
		n, err := number(bytes.TrimSpace(size), 16)
		if err != nil {
			return errors.Join(errChunk, err)
		}
		a.bytes += len(line)
		if n == 0 {
			break
		}
		chunk, err := ar.take(n + 2)
		if err != nil {
			return err
		}
		if !bytes.HasSuffix(chunk, endOfLine) || len(ar.chunked)+n > maxBody {
			return errChunk
		}
		ar.chunked = append(ar.chunked, chunk[:n]...)
		a.bytes += n + 2
	}
	for { // trailers
		line, err := ar.line()
		if err != nil {
			return err
		}
		a.bytes += len(line)
		if len(line) == len(endOfLine) {
			a.body = ar.chunked
			return nil
		}
	}
}

// line returns the next line with its end.
func (ar *answerReader) line() ([]byte, error) {
	for {
		if i := bytes.Index(ar.buf[ar.r:ar.w], endOfLine); i >= 0 {
			line := ar.buf[ar.r : ar.r+i+2]
			ar.r += len(line)
			return line, nil
		}
		if ar.w-ar.r > maxHead {
			return nil, errChunk
		}
		if err := ar.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// take returns the next n bytes.
func (ar *answerReader) take(n int) ([]byte, error) {
	if ar.r+n > len(ar.buf) {
		ar.makeRoom(n)
	}
	for ar.w-ar.r < n {
		if err := ar.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
	b := ar.buf[ar.r : ar.r+n]
	ar.r += n
	return b, nil
}

// fill reads once.
func (ar *answerReader) fill() error {
	switch {
	case ar.r == ar.w:
		ar.r, ar.w = 0, 0
	case ar.w == len(ar.buf):
		ar.makeRoom(2 * (ar.w - ar.r))
	}
	n, err := ar.src.Read(ar.buf[ar.w:])
	ar.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// makeRoom moves what is unused to the begin of a buffer of at least n bytes.
func (ar *answerReader) makeRoom(n int) {
	buf := ar.buf
	if n > len(buf) {
		buf = make([]byte, max(n, 2*len(buf)))
	}
	ar.w = copy(buf, ar.buf[ar.r:ar.w])
	ar.r, ar.buf = 0, buf
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
