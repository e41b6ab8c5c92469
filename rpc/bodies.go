package rpc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect"
)

// Bounds on the bytes that clients have sent of requests that are not answered yet. Beyond
// one no more is read: a client may have many calls at a time, and be slow with each.
const (
	// maxBodies is for calls of the API, those of all connections together, maxCheckBodies
	// for Checks: a crowd of the ones leaves the others alone.
	maxBodies, maxCheckBodies = 256 << 20, 64 << 20
	// maxConnBodies is for those of one connection.
	maxConnBodies = 8 << 20
)

var errBodies = connect.NewError(connect.CodeResourceExhausted, errors.New("too much is being received at a time; try again"))

// withBodies bounds what next reads: of each request each bytes, and of all together most.
func withBodies(next http.Handler, each int, most int64) http.Handler {
	var all atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &body{ReadCloser: r.Body, left: int64(each) + frameSlack, all: &all, most: most, conn: new(atomic.Int64)}
		if c, ok := r.Context().Value(connKey{}).(*connection); ok {
			b.conn = &c.bodies
		}
		r.Body = b
		defer func() {
			all.Add(-b.read)
			b.conn.Add(-b.read)
		}()
		next.ServeHTTP(w, r)
	})
}

// withBody returns r with another body. r itself stays as it is: the server looks at it to
// see what is left of the body on the connection.
func withBody(r *http.Request, b io.ReadCloser, length int64) *http.Request {
	other := *r
	other.Header.Del("Content-Length")
	other.Body, other.ContentLength = b, length
	return &other
}

// frameSlack is more than what a message has around it.
const frameSlack = 64

// body is a request's body. Only the request's own goroutine reads it.
type body struct {
	io.ReadCloser
	left, read int64
	all, conn  *atomic.Int64
	most       int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 { // connect knows that it is too large, and would read on to throw it away
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.read += int64(n)
	if b.all.Add(int64(n)) > b.most || b.conn.Add(int64(n)) > maxConnBodies {
		return 0, errBodies
	}
	return n, err
}

// withoutStrangers gives next, of a caller without credentials, an empty message in the place
// of its body, which is not read. httpapi then refuses the call as it does any other.
func withoutStrangers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.Header.Get("Authorization") == "" {
			var empty []byte
			if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
				empty = make([]byte, 5) // a frame
			}
			r = withBody(r, io.NopCloser(bytes.NewReader(empty)), int64(len(empty)))
		}
		next.ServeHTTP(w, r)
	})
}
