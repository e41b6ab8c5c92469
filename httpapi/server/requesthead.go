package server

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"
)

const (
	// readPiece is how much of a request is read at a time, in bytes. A header that
	// is longer is passed on to the server when it is whole.
	readPiece = 4 << 10
	// maxHeaderLines bounds the lines of such a header: each takes the server up to
	// 20 times its length.
	maxHeaderLines = 256
	// headLine holds a request's method and LeastURI bytes of what follows.
	headLine = 64
	// LeastURI is how much of a URI Begun knows, if the URI has as much, in bytes:
	// enough to tell by its first segment what it is for.
	LeastURI = 8
)

// errBuffer never happens with the server's reader, which fills one buffer.
var errBuffer = errors.New("BUG: the rest of a header is read into another buffer than its beginning")

var errHeaderLines = fmt.Errorf("a header of more than %d bytes has more than %d lines", readPiece, maxHeaderLines)

// requestHead is what a connection knows of the request that its server reads.
// Only the connection's own goroutine uses it.
type requestHead struct {
	// buffer is the size of the server's read buffer, in bytes.
	buffer int
	// whole is that buffer. The server has it for as long as it reads from the
	// connection, and only while it reads is it looked at. What is left of earlier
	// reads stands at its beginning.
	whole []byte
	// line is how the request begins, length bytes of it, 0 if that is not known: if
	// the request came together with the one before.
	line   [headLine]byte
	length int
}

// next is told that a request has ended.
func (h *requestHead) next() { h.length = 0 }

// Read reads into p, which is what is free of the server's buffer, by more. The
// server asks for more of a header only when it has not got it whole, so that
// what it has already is how the header begins.
func (h *requestHead) read(p []byte, more func(p []byte) (int, error)) (n int, err error) {
	have := h.buffer - len(p)
	switch {
	case have < 0: // Of a body, past the buffer
		return more(p)
	case have == 0:
		h.whole = p
	case len(h.whole) != h.buffer || len(p) > 0 && &h.whole[have] != &p[0]:
		return 0, errBuffer
	}
	if have < readPiece {
		n, err = more(p[:min(len(p), readPiece-have)])
	} else {
		n, err = h.gather(have, more)
	}
	if have > 0 || h.length == 0 {
		h.length = copy(h.line[:], bytes.TrimLeft(h.whole[:have+n], "\r\n"))
	}
	return n, err
}

// gather reads the rest of a header of which there are have bytes: until it ends,
// or the buffer does. The server looks through all that it has of a header
// whenever more comes: sent byte by byte, 64 KiB would be 2 GiB to look through.
// No more than a piece is read of what follows the header, so that a header that
// is not gathered is no longer than that.
func (h *requestHead) gather(have int, more func(p []byte) (int, error)) (int, error) {
	line, lines := 0, 0 // where the line under way begins, and how many there are before it
	for from, end := 0, have; ; {
		for from < end {
			n := bytes.IndexByte(h.whole[from:end], '\n')
			if n < 0 {
				break
			}
			empty := len(bytes.TrimSuffix(h.whole[line:from+n], []byte("\r"))) == 0
			from += n + 1
			line = from
			switch {
			case !empty:
				lines++
			case lines > 0:
				return end - have, nil
			}
			if lines > maxHeaderLines {
				return 0, errHeaderLines
			}
		}
		if end == len(h.whole) {
			return end - have, nil
		}
		n, err := more(h.whole[end:min(end+readPiece, len(h.whole))])
		if n == 0 || err != nil {
			if n += end - have; n > 0 {
				err = nil // the next Read tells, too
			}
			return n, err
		}
		from, end = end, end+n
	}
}

// Begun is how the request on a connection begins, for an answer to one that
// could not be read. The server has thrown it away. known says whether that is
// all of the method, and LeastURI bytes of the URI, or all of it if it has less.
func Begun(http *fasthttp.RequestCtx) (method, uri []byte, known bool) {
	c, ok := http.Conn().(served)
	if !ok {
		return nil, nil, false
	}
	h := &c.conn().head
	method, uri, _ = bytes.Cut(h.line[:h.length], []byte(" "))
	known = h.length > 0 && (h.length < headLine || len(uri) >= LeastURI)
	uri, _, _ = bytes.Cut(uri, []byte(" "))
	return method, uri, known
}

// keptHeader and keptLines are how much of a request's header a connection keeps
// room for: its bytes and its lines.
const (
	keptHeader = 4 << 10
	keptLines  = 64
)

// forget lets go of the memory that a large header takes in addition to the read buffer,
// which a connection would keep until it ends, and the server even longer: up to
// 20 times the header, if its fields are short. The answer needs no more of the
// request than is left here.
func forget(http *fasthttp.RequestCtx) {
	h := &http.Request.Header
	if cap(h.RawHeaders()) <= keptHeader && cap(h.RequestURI()) <= keptHeader && bytes.Count(h.RawHeaders(), []byte("\n")) <= keptLines {
		return
	}
	head, protocol := h.IsHead(), string(h.Protocol())
	http.Request = fasthttp.Request{}
	if head {
		h.SetMethod(fasthttp.MethodHead)
	}
	h.SetProtocol(protocol)
}
