package server

import (
	"math/rand/v2"

	"github.com/valyala/fasthttp"
)

const (
	// HeaderRequestID is the header with the ID of a request and of its answer.
	HeaderRequestID = "X-Request-Id"
	// maxRequestID is the longest request ID that is taken over, in bytes.
	maxRequestID = 128
)

var requestIDName = []byte(HeaderRequestID)

// AppendRequestID makes the ID of a request in b, which is empty, and gives it to the
// answer: the one that a gateway gave to the request, if it is safe to repeat in
// headers and logs, or one that is made here.
func AppendRequestID(b []byte, http *fasthttp.RequestCtx) []byte {
	if given := GivenRequestID(&http.Request.Header); len(given) > 0 {
		b = append(b, given...)
	} else {
		const digits = "0123456789abcdef"
		for n, i := rand.Uint64(), 0; i < 16; n, i = n>>4, i+1 {
			b = append(b, digits[n&15])
		}
	}
	http.Response.Header.SetCanonical(requestIDName, b)
	return b
}

// GivenRequestID is the ID that a gateway gave to the request, nil if there is none
// that may stand in headers and logs. It points into h.
func GivenRequestID(h *fasthttp.RequestHeader) []byte {
	given := h.PeekCanonical(requestIDName)
	if len(given) > maxRequestID || !plainID(given) {
		return nil
	}
	return given
}

// plainID says whether b has only letters, digits and - _ . : / + = @.
func plainID(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=', c == '@':
		default:
			return false
		}
	}
	return true
}
