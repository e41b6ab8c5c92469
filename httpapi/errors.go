package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/valyala/fasthttp"
)

// code is a gRPC status code, which every error of the API carries.
type code int

const (
	codeInvalid       code = 3
	codeDeadline      code = 4
	codeNotFound      code = 5
	codeExists        code = 6
	codeDenied        code = 7
	codeExhausted     code = 8
	codePrecondition  code = 9
	codeAborted       code = 10
	codeUnimplemented code = 12
	codeInternal      code = 13
	codeUnavailable   code = 14
	codeUnauthorised  code = 16
)

// statusOf is the HTTP status of a code, where an error names no other.
var statusOf = map[code]int{
	codeInvalid:       http.StatusBadRequest,
	codeDeadline:      http.StatusGatewayTimeout,
	codeNotFound:      http.StatusNotFound,
	codeExists:        http.StatusConflict,
	codeDenied:        http.StatusForbidden,
	codeExhausted:     http.StatusTooManyRequests,
	codePrecondition:  http.StatusBadRequest,
	codeAborted:       http.StatusConflict,
	codeUnimplemented: http.StatusNotImplemented,
	codeInternal:      http.StatusInternalServerError,
	codeUnavailable:   http.StatusServiceUnavailable,
	codeUnauthorised:  http.StatusUnauthorized,
}

// apiError is an error in its final form. ZITADEL's own errors have an ID,
// which clients tell them apart by.
type apiError struct {
	code code
	http int // 0 takes statusOf[code]
	id   string
	text string
	// close ends the connection, because what the client still sends is not read.
	close bool
	// retryAfter is in how many seconds to try again; 0 says nothing.
	retryAfter int
	// guessed says that the credential that is refused may have been guessed: it
	// is not one that has ended, or may have.
	guessed bool
}

func (e *apiError) Error() string {
	if e.id == "" {
		return e.text
	}
	return e.text + " (" + e.id + ")"
}

func (e *apiError) status() int {
	if e.http != 0 {
		return e.http
	}
	return statusOf[e.code]
}

// The errors with a fixed text. Those with an ID are ZITADEL's, word for word.
var (
	errNoCredentials  = &apiError{code: codeUnauthorised, text: "auth header missing"}
	errBadCredentials = &apiError{code: codeUnauthorised, text: "invalid token", guessed: true}
	errEndedToken     = &apiError{code: codeUnauthorised, text: "invalid token"} // it has ended, or may have, or proves nothing
	errDenied         = &apiError{code: codeDenied, id: "AUTH-5mWD2", text: "No matching permissions found"}
	errGetToken       = &apiError{code: codeDenied, id: "QUERY-dsfr3", text: "Permission denied"}
	errDeleteToken    = &apiError{code: codeDenied, id: "COMMAND-sGr42", text: "Session Token is invalid"}
	errUnknownSession = &apiError{code: codeNotFound, id: "QUERY-SFeaa", text: "Session does not exist"}
	errLimit          = &apiError{code: codeInvalid, id: "QUERY-4M0fs", text: "Limit exceeded"}
	errCreatorQuery   = &apiError{code: codeInvalid, id: "GRPC-x8n24uh", text: "List.Query.Invalid"}
	errAgentQuery     = &apiError{code: codeInvalid, id: "GRPC-x8n23uh", text: "List.Query.Invalid"}

	errNoRoute  = &apiError{code: codeNotFound, text: "Not Found"}
	errNoMethod = &apiError{code: codeUnimplemented, http: http.StatusMethodNotAllowed, text: "Method Not Allowed"}

	errUnavailable  = &apiError{code: codeUnavailable, text: "the session store is unavailable"}
	errStopping     = &apiError{code: codeUnavailable, text: "cloakroom is stopping", close: true}
	errConflict     = &apiError{code: codeAborted, text: "the session is being changed by others; try again"}
	errStale        = &apiError{code: codeExists, text: "a version with a higher sequence is stored"}
	errDeleted      = &apiError{code: codeExists, text: session.ErrDeleted.Error()}
	errFull         = &apiError{code: codeExhausted, text: session.ErrFull.Error() + ": it holds as many sessions as it may, which are 10,000 with memory:"}
	errPrecondition = &apiError{code: codePrecondition, http: http.StatusPreconditionFailed, text: "the stored session has another sequence than If-Match asks for"}

	errTrailersTooBig = &apiError{code: codeExhausted, http: http.StatusRequestHeaderFieldsTooLarge, text: "request trailers too large", close: true}
	errSlow           = &apiError{code: codeDeadline, http: http.StatusRequestTimeout, text: "the request did not arrive in time", close: true}
	errHTTP           = &apiError{code: codeInvalid, text: "malformed HTTP request", close: true}
	errTruncated      = &apiError{code: codeInvalid, text: "the request body ended early", close: true}
	errTwoLengths     = &apiError{code: codeInvalid, text: "a request must not have both Content-Length and Transfer-Encoding", close: true}
	errFolded         = &apiError{code: codeInvalid, text: "a header must not go on in another line", close: true}
	errCompressed     = &apiError{code: codeInvalid, http: http.StatusUnsupportedMediaType, text: "compressed request bodies are not supported: send no Content-Encoding"}
	errCharset        = &apiError{code: codeInvalid, http: http.StatusUnsupportedMediaType, text: "the charset of a request body must be utf-8"}
	errExpectation    = &apiError{code: codeInvalid, http: http.StatusExpectationFailed, text: "the only expectation that is met is 100-continue", close: true}
	errTransferCoding = &apiError{code: codeInvalid, text: "the Transfer-Encoding must be chunked", close: true}
	errHost           = &apiError{code: codeDenied, text: "without authentication only loopback names are served: the Host must be localhost, 127.0.0.0/8 or [::1]"}
	errOrigin         = &apiError{code: codeDenied, text: "without authentication web pages of other sites are not served: the Origin must be one of localhost, 127.0.0.0/8 or [::1], and Sec-Fetch-Site same-origin or none"}
	// errContinue is no answer: the client may send the body that it has announced.
	errContinue = errors.New("the body may be sent")
)

// invalid is an error in the shape of ZITADEL's request validation.
func invalid(message, field, problem string) *apiError {
	return &apiError{code: codeInvalid, text: "invalid " + message + "." + field + ": " + problem}
}

// crowded names the limit that refuses a session, and its setting.
func crowded(e *session.CrowdedError) *apiError {
	return &apiError{code: codeExhausted, text: "the user has as many sessions as --max-sessions-per-user allows, which is " + strconv.Itoa(e.Limit)}
}

// asAPIError is the one place where an error of a lower layer gets its answer.
// What it does not know means that the answer is not known. (I2)
func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*protojson.Error](err); ok {
		return &apiError{code: codeInvalid, text: e.Error()}
	}
	if e, ok := errors.AsType[*session.InvalidError](err); ok {
		return &apiError{code: codeInvalid, text: e.Error()}
	}
	if e, ok := errors.AsType[*index.TooCostlyError](err); ok {
		return &apiError{code: codeExhausted, text: e.Error()}
	}
	if e, ok := errors.AsType[*session.CrowdedError](err); ok {
		return crowded(e)
	}
	if e := asBusy(err); e != nil {
		return e
	}
	switch {
	case errors.Is(err, session.ErrNotFound):
		return errUnknownSession
	case errors.Is(err, session.ErrConflict):
		return errConflict
	case errors.Is(err, session.ErrDeleted):
		return errDeleted
	case errors.Is(err, session.ErrFull):
		return errFull
	}
	return errUnavailable
}

// writeError makes e the answer, in the form of the route's protocol.
func (r *route) writeError(http *fasthttp.RequestCtx, e *apiError) {
	switch {
	case r.connect:
		writeConnectError(http, e)
	case r.oauth:
		writeOAuthError(http, e)
	default:
		writeError(http, e)
	}
}

// writeError makes e the answer, in place of what was written so far.
func writeError(http *fasthttp.RequestCtx, e *apiError) {
	writeErrorAs(http, e, e.status(), appendError(nil, e))
}

// writeErrorAs writes e with this status and body.
func writeErrorAs(http *fasthttp.RequestCtx, e *apiError, status int, body []byte) {
	h := &http.Response
	h.ResetBody()
	h.SetStatusCode(status)
	h.Header.SetContentType(contentTypeJSON)
	switch e.code {
	case codeUnauthorised:
		h.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="cloakroom"`)
	case codeUnavailable:
		h.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	if e.retryAfter > 0 {
		setRetryAfter(h, e.retryAfter)
	}
	if e.close {
		h.SetConnectionClose()
	}
	h.AppendBody(body)
}

// appendError writes e as a google.rpc.Status.
func appendError(b []byte, e *apiError) []byte {
	b = append(b, `{"code":`...)
	b = appendInt(b, int(e.code))
	b = append(b, `,"message":`...)
	b = protojson.AppendString(b, e.Error())
	if e.id != "" {
		b = append(b, `,"details":[{"@type":"type.googleapis.com/zitadel.v1.ErrorDetail","id":`...)
		b = protojson.AppendString(b, e.id)
		b = append(b, `,"message":`...)
		b = protojson.AppendString(b, e.text)
		b = append(b, `}]`...)
	}
	return append(b, '}')
}
