package httpapi

import (
	"encoding/hex"
	"math/rand/v2"

	"github.com/valyala/fasthttp"
)

const (
	headerRequestID = "X-Request-Id"
	// maxRequestID is the longest request ID that is taken over, in bytes.
	maxRequestID = 128
)

// requestID takes over the ID that a gateway gave to the request, if it is
// safe to repeat in headers and logs, or makes one.
func requestID(http *fasthttp.RequestCtx) string {
	given := http.Request.Header.Peek(headerRequestID)
	if len(given) > 0 && len(given) <= maxRequestID && plainID(given) {
		return string(given)
	}
	var random [8]byte
	for n, i := rand.Uint64(), 0; i < len(random); n, i = n>>8, i+1 {
		random[i] = byte(n)
	}
	return hex.EncodeToString(random[:])
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
