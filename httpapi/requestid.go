package httpapi

import (
	"math/rand/v2"

	"github.com/valyala/fasthttp"
)

const (
	headerRequestID = "X-Request-Id"
	// maxRequestID is the longest request ID that is taken over, in bytes.
	maxRequestID = 128
)

// appendRequestID takes over the ID that a gateway gave to the request, if it
// is safe to repeat in headers and logs, or makes one.
func appendRequestID(b []byte, http *fasthttp.RequestCtx) []byte {
	given := http.Request.Header.PeekCanonical(requestIDName)
	if len(given) > 0 && len(given) <= maxRequestID && plainID(given) {
		return append(b, given...)
	}
	const digits = "0123456789abcdef"
	for n, i := rand.Uint64(), 0; i < 16; n, i = n>>4, i+1 {
		b = append(b, digits[n&15])
	}
	return b
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
