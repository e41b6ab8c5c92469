package httpapi

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

const (
	// gatherFrom is how much of a header may be read in whatever pieces it comes.
	gatherFrom = 4 << 10
	// maxBlank is how often a larger one is shown to the server because of an empty
	// line, which ends it, unless the request has not begun yet.
	maxBlank = 16
	// headLine holds a request's method and the path of verify.
	headLine = 24
)

// requestHead is what a connection knows of the request that its server reads.
// Only the connection's own goroutine uses it.
type requestHead struct {
	// buffer is the size of the server's read buffer, in bytes.
	buffer int
	// line is how the request begins, length bytes of it.
	line   [headLine]byte
	length int
	// last is how what has come ends.
	last lineEnd
	// blank counts the empty lines that the server was shown.
	blank int
}

// lineEnd says what the last bytes of a piece of a header are.
type lineEnd uint8

const (
	inLine    lineEnd = iota
	afterLine         // LF
	afterCR           // LF CR
)

// read is told what was read into p. If that is a piece of a large header, it
// reads more of it. The server looks through all that it has of a header whenever
// more comes: sent byte by byte, 64 KiB would be 2 GiB to look through. So it is
// shown more of a large header only when that has grown by a quarter, or ends.
func (h *requestHead) read(p []byte, n int, err error, more func(p []byte) (int, error)) (int, error) {
	if n == 0 || err != nil {
		return n, err
	}
	have := h.buffer - len(p)
	if have == 0 { // a request begins, or more of a body comes
		h.length, h.blank = copy(h.line[:], p[:n]), 0
	}
	if have < gatherFrom {
		h.last = h.last.after(p[:n])
		return n, nil
	}
	for from := 0; n < min(len(p), have/4) && !h.ends(p[from:n]); {
		m, err := more(p[n:])
		if m == 0 || err != nil {
			return n + m, nil // the next Read tells, too
		}
		from, n = n, n+m
	}
	return n, nil
}

// ends says whether there is an empty line where piece comes, which it takes note of.
func (h *requestHead) ends(piece []byte) bool {
	blank := h.last == afterLine && bytes.HasPrefix(piece, []byte("\r\n")) ||
		h.last == afterCR && piece[0] == '\n' || bytes.Contains(piece, []byte("\n\r\n"))
	h.last = h.last.after(piece)
	if blank {
		h.blank++
	}
	return blank && h.blank <= maxBlank
}

// after is how piece ends, which comes after what ends as e.
func (e lineEnd) after(piece []byte) lineEnd {
	switch n := len(piece); {
	case piece[n-1] == '\n':
		return afterLine
	case piece[n-1] != '\r':
		return inLine
	case n > 1 && piece[n-2] == '\n', n == 1 && e == afterLine:
		return afterCR
	}
	return inLine
}

// begun is how the request on a connection begins, for an answer to one that
// could not be read. The server has thrown it away.
func begun(http *fasthttp.RequestCtx) (method, uri []byte) {
	c, ok := http.Conn().(lingerer)
	if !ok {
		return nil, nil
	}
	h := &c.lingering().head
	method, uri, _ = bytes.Cut(h.line[:h.length], []byte(" "))
	uri, _, _ = bytes.Cut(uri, []byte(" "))
	return method, uri
}

// keptHeader is how much of a request's header a connection keeps room for, in
// bytes.
const keptHeader = 4 << 10

// forget lets go of the memory that a large header takes besides the read buffer,
// which a connection would keep until it ends, and the server even longer: up to
// 20 times the header, if its fields are short. The answer needs no more of the
// request than is left here.
func forget(http *fasthttp.RequestCtx) {
	h := &http.Request.Header
	if cap(h.RawHeaders()) <= keptHeader && cap(h.RequestURI()) <= keptHeader {
		return
	}
	head, protocol := h.IsHead(), string(h.Protocol())
	http.Request = fasthttp.Request{}
	if head {
		h.SetMethod(fasthttp.MethodHead)
	}
	h.SetProtocol(protocol)
}
