package rpc

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"
)

// maxBodies bounds the bytes that clients have sent of requests that are not answered yet,
// those of all connections together. Beyond it no more is read of any: a client may have
// many calls at a time, and be slow with each.
const maxBodies = 256 << 20

var errBodies = connect.NewError(connect.CodeResourceExhausted, errors.New("too much is being received at a time; try again"))

// withBodies bounds what next reads.
func withBodies(next http.Handler, most int64) http.Handler {
	var all atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &body{ReadCloser: r.Body, all: &all, most: most}
		r.Body = b
		defer func() { all.Add(-b.read) }()
		next.ServeHTTP(w, r)
	})
}

// body is a request's body. Only the request's own goroutine reads it.
type body struct {
	io.ReadCloser
	all  *atomic.Int64
	most int64
	read int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.all.Add(int64(n)) > b.most {
		return 0, errBodies
	}
	return n, err
}
