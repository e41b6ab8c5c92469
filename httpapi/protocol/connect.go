package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/valyala/fasthttp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Connect (https://connectrpc.com/docs/protocol): the calls of the session
// service as remote procedures, of one request and one answer, in JSON, over
// HTTP/1.1. Requests and answers are those of REST; what differs is here. GET
// for calls without side effects is not offered.

// ConnectPrefix is where every path of Connect begins: with a service of ZITADEL.
const ConnectPrefix = "/zitadel."

// maxTimeoutDigits is how long a Connect-Timeout-Ms may be.
const maxTimeoutDigits = 10

var (
	connectVersionName = []byte("Connect-Protocol-Version")
	connectTimeoutName = []byte("Connect-Timeout-Ms")
	connectVersion     = []byte("1")
	jsonType           = []byte(contentType)

	errConnectVersion = &refusal.Error{Code: refusal.Invalid, Text: "the header Connect-Protocol-Version must be 1, or not be there"}
	errConnectTimeout = &refusal.Error{Code: refusal.Invalid, Text: "the header Connect-Timeout-Ms must be a whole number above 0, of at most 10 digits"}
	errConnectType    = &refusal.Error{Code: refusal.Invalid, HTTP: http.StatusUnsupportedMediaType, Text: "the Content-Type of a request must be application/json"}
	// The protocol wants this code.
	errConnectCompressed = &refusal.Error{Code: refusal.Unimplemented, Text: "compressed request bodies are not supported: the Content-Encoding must be identity"}
	// ErrNoProcedure refuses an unknown procedure. It is unimplemented, which by the protocol's table of
	// codes is 501. But its servers answer 404, and its table of statuses reads
	// a 404 as unimplemented: so clients come to the same code by either, and
	// those that know nothing of Connect see an ordinary 404.
	ErrNoProcedure = &refusal.Error{Code: refusal.Unimplemented, HTTP: http.StatusNotFound, Text: "Not Found"}
	// ErrTooLate may mean that a write was done all the same.
	ErrTooLate = &refusal.Error{Code: refusal.Deadline, Text: "the time of Connect-Timeout-Ms is over"}
)

// connectCodes are Connect's names of the codes.
var connectCodes = map[refusal.Code]string{
	refusal.Invalid:       "invalid_argument",
	refusal.Deadline:      "deadline_exceeded",
	refusal.NotFound:      "not_found",
	refusal.Exists:        "already_exists",
	refusal.Denied:        "permission_denied",
	refusal.Exhausted:     "resource_exhausted",
	refusal.Precondition:  "failed_precondition",
	refusal.Aborted:       "aborted",
	refusal.Unimplemented: "unimplemented",
	refusal.Internal:      "internal",
	refusal.Unavailable:   "unavailable",
	refusal.Unauthorised:  "unauthenticated",
}

// connectRequest checks the headers of a request, and returns how long its caller
// waits, 0 if it does not say so.
func connectRequest(h *fasthttp.RequestHeader) (timeout time.Duration, err error) {
	if v := h.PeekCanonical(connectVersionName); len(v) > 0 && !bytes.Equal(v, connectVersion) {
		return 0, errConnectVersion
	}
	if t := h.ContentType(); !bytes.EqualFold(t, jsonType) {
		media, params, err := mime.ParseMediaType(string(t))
		if err != nil || media != contentType {
			return 0, errConnectType
		}
		if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
			return 0, errCharset
		}
	}
	if server.HasBody(h) && compressed(h) {
		return 0, errConnectCompressed
	}
	if t := h.PeekCanonical(connectTimeoutName); len(t) > 0 {
		return connectTimeout(string(t))
	}
	return 0, nil
}

// connectTimeout reads how long the caller waits.
func connectTimeout(text string) (time.Duration, error) {
	ms, err := strconv.ParseUint(text, 10, 64)
	if err != nil || ms == 0 || len(text) > maxTimeoutDigits {
		return 0, errConnectTimeout
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// connectStatus is the HTTP status of e by Connect. It follows from the code,
// except for what comes before the protocol: the path, the method, the content type.
func connectStatus(e *refusal.Error) int {
	switch e.HTTP {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		return e.HTTP
	}
	return e.Code.Status()
}

// writeConnectError is refusal.Write in Connect's form.
func writeConnectError(http *fasthttp.RequestCtx, e *refusal.Error) {
	refusal.WriteAs(http, e, connectStatus(e), appendConnectError(nil, e))
	switch e {
	case errConnectType, errCharset:
		http.Response.Header.Set("Accept-Post", contentType)
	case errConnectCompressed:
		http.Response.Header.Set(fasthttp.HeaderAcceptEncoding, "identity")
	}
}

// appendConnectError writes e in Connect's form.
func appendConnectError(b []byte, e *refusal.Error) []byte {
	b = append(b, `{"code":"`...)
	b = append(b, connectCodes[e.Code]...)
	b = append(b, `","message":`...)
	b = protojson.AppendString(b, e.Error())
	switch {
	case e.ID != "":
		b = append(b, `,"details":[{"type":"zitadel.v1.ErrorDetail","value":"`...)
		b = base64.RawStdEncoding.AppendEncode(b, appendErrorDetail(nil, e))
		b = append(b, `"}]`...)
	case e.Explain != "":
		b = append(b, `,"details":[{"type":"google.protobuf.Struct","value":"`...)
		b = base64.RawStdEncoding.AppendEncode(b, structOf(e.Explain))
		b = append(append(b, `","debug":`...), e.Explain...)
		b = append(b, `}]`...)
	}
	return append(b, '}')
}

// structOf returns a JSON object as the protobuf message google.protobuf.Struct.
func structOf(object string) []byte {
	var s structpb.Struct
	_ = s.UnmarshalJSON([]byte(object)) // it is one
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(&s)
	return b
}

// appendErrorDetail writes the protobuf message zitadel.v1.ErrorDetail: the ID
// is field 1, the message field 2.
func appendErrorDetail(b []byte, e *refusal.Error) []byte {
	for i, text := range []string{e.ID, e.Text} {
		b = append(b, byte(i+1)<<3|2) // a field of bytes
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}
