// Package protocol is what the protocols differ in that the API is spoken by: REST,
// Connect, and OAuth for logouts of issuers. Look here for what the headers of a request
// must say about its body, and for the form of an error; the requests and answers
// themselves are the same, and are in httpapi.
package protocol

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

// Protocol is how a route is spoken. The zero value is REST.
type Protocol uint8

const (
	// REST is JSON by paths and methods; its errors are google.rpc.Status.
	REST Protocol = iota
	// Connect is remote procedures: https://connectrpc.com/docs/protocol.
	Connect
	// OAuth takes what REST takes, and has its errors in the form of RFC 6749.
	OAuth
)

// String labels it in metrics.
func (p Protocol) String() string {
	if p == Connect {
		return "connect"
	}
	return "http"
}

const contentType = "application/json"

// Check says by the headers of a request whether it can be read, and how long its
// caller waits; 0 is not said. Its error is a *refusal.Error.
func (p Protocol) Check(h *fasthttp.RequestHeader) (timeout time.Duration, err error) {
	if p == Connect {
		return connectRequest(h)
	}
	return 0, restRequest(h)
}

// WriteError makes e the answer, in place of what was written.
func (p Protocol) WriteError(http *fasthttp.RequestCtx, e *refusal.Error) {
	switch p {
	case Connect:
		writeConnectError(http, e)
	case OAuth:
		writeOAuthError(http, e)
	default:
		refusal.Write(http, e)
	}
}
