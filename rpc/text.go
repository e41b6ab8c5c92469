package rpc

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
)

// gRPC-Web's two ways to write frames: as they are, and in base64, for browsers that could
// not read others.
const (
	webType     = "application/grpc-web"
	webTextType = "application/grpc-web-text"
)

// withText lets gRPC-Web be spoken in base64, which connect does not.
func withText(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		format, is := strings.CutPrefix(r.Header.Get("Content-Type"), webTextType)
		if !is {
			next.ServeHTTP(w, r)
			return
		}
		r.Header.Set("Content-Type", webType+format)
		r = withBody(r, &textBody{base64.NewDecoder(base64.StdEncoding, r.Body), r.Body}, -1)
		text := &textWriter{ResponseWriter: w}
		text.encoder = base64.NewEncoder(base64.StdEncoding, w)
		next.ServeHTTP(text, r)
		_ = text.encoder.Close() // the client is away, or has all
	})
}

type textBody struct {
	io.Reader
	io.Closer
}

// textWriter writes an answer in base64.
type textWriter struct {
	http.ResponseWriter
	encoder io.WriteCloser
	begun   bool
}

// WriteHeader implements http.ResponseWriter.
func (w *textWriter) WriteHeader(status int) {
	if h := w.Header(); !w.begun {
		w.begun = true
		if format, is := strings.CutPrefix(h.Get("Content-Type"), webType); is {
			h.Set("Content-Type", webTextType+format)
		}
		h.Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *textWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.encoder.Write(p)
}
