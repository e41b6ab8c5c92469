package rpc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/protobuf"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// policyKey is the context extension that names the policy. Envoy's configuration sets
// it; a client cannot.
const policyKey = "policy"

// asked are the client's headers that decide, or are logged, by their name in lower case.
var asked = map[string]string{
	"authorization":   "Authorization",
	"x-session-token": "X-Session-Token",
	"cookie":          "Cookie",
	"x-request-id":    "X-Request-Id",
	"x-forwarded-for": "X-Forwarded-For",
}

// check is the handler of envoy.service.auth.v3.Authorization/Check.
func (s *Server) check(ctx context.Context, request *connect.Request[message]) (*connect.Response[message], error) {
	if request.Msg.json {
		return nil, connect.NewError(connect.CodeUnimplemented, errNotJSON)
	}
	remote, local := addressesOf(ctx)
	answer, code, err := s.checked(ctx, remote, local, request.Msg.data)
	if err != nil {
		return nil, connect.NewError(connect.Code(code), err)
	}
	return connect.NewResponse(&message{data: answer}), nil
}

// checked answers a CheckRequest as verify answers HTTP. Only the credential decides, and
// the policy. That the store is away is an error of the call, for which Envoy has
// status_on_error: never an answer.
func (s *Server) checked(ctx context.Context, remote, local net.Addr, request []byte) (answer []byte, code codes.Code, err error) {
	asks, err := readCheck(request)
	if err != nil {
		return nil, codes.InvalidArgument, err
	}
	x := begin(remote, local)
	defer x.end()
	x.http.Request.Header.DisableSpecialHeader() // cookies are read as they were written
	for i := range asks.headers {
		x.ask(&asks.headers[i], asks.joined)
	}
	s.config.Verify(ctx, &x.http, asks.policy)

	if err := ctx.Err(); err != nil {
		return nil, map[error]codes.Code{context.Canceled: codes.Canceled, context.DeadlineExceeded: codes.DeadlineExceeded}[err], err
	}
	answer = make([]byte, 0, 1024)
	switch got := x.http.Response.StatusCode(); got {
	case http.StatusOK:
		answer, err = x.appendAllowed(answer, asks.headers)
		if err != nil {
			s.logBug(checkService, err)
			return nil, codes.Internal, errBug
		}
		return answer, codes.OK, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return x.appendDenied(answer, got), codes.OK, nil
	default: // an answer would be a denial to an Envoy that does not know error_response (I2)
		return nil, codes.Unavailable, errUnavailable
	}
}

var (
	errName   = errors.New("the name of a header is not UTF-8")
	errNumber = errors.New("a field has a number that none can have")
)

// checkRequest is what is read of envoy.service.auth.v3.CheckRequest. Its texts point into
// the message.
type checkRequest struct {
	// headers are the client's; joined says that those of one name are one, with commas
	// between. With encode_raw_headers there is one for each line.
	headers []checkHeader
	joined  bool
	policy  string
}

type checkHeader struct{ name, value []byte }

// readCheck reads a CheckRequest: attributes (1) have request (4), which has http (2), and
// context_extensions (10); http has headers (3), or header_map (13) with headers (1).
func readCheck(data []byte) (r checkRequest, err error) {
	var joined []checkHeader
	err = eachField(data, func(number protowire.Number, attributes []byte) error {
		if number != 1 {
			return nil
		}
		return eachField(attributes, func(number protowire.Number, value []byte) error {
			switch number {
			case 4:
				return eachField(value, func(number protowire.Number, client []byte) error {
					if number != 2 {
						return nil
					}
					return eachField(client, func(number protowire.Number, value []byte) (err error) {
						switch number {
						case 3:
							joined, err = appendCheckHeader(joined, value)
						case 13:
							err = eachField(value, func(number protowire.Number, line []byte) (err error) {
								if number == 1 {
									r.headers, err = appendCheckHeader(r.headers, line)
								}
								return err
							})
						}
						return err
					})
				})
			case 10:
				entry, err := appendCheckHeader(nil, value)
				if err == nil && string(entry[0].name) == policyKey {
					r.policy = string(entry[0].value)
				}
				return err
			}
			return nil
		})
	})
	if len(r.headers) == 0 {
		r.headers, r.joined = joined, true
	}
	return r, err
}

// appendCheckHeader reads an entry of a map, or a HeaderValue: key (1), value (2), raw_value (3).
func appendCheckHeader(all []checkHeader, data []byte) ([]checkHeader, error) {
	var h checkHeader
	var raw []byte
	err := eachField(data, func(number protowire.Number, text []byte) error {
		switch number {
		case 1:
			h.name = text
		case 2:
			h.value = text
		case 3:
			raw = text
		}
		return nil
	})
	if len(raw) > 0 {
		h.value = raw
	}
	if err == nil && !utf8.Valid(h.name) { // protobuf has no such text, and the answer may name it
		err = errName
	}
	return append(all, h), err
}

// eachField calls do with each field of a message that is text, bytes or a message.
func eachField(data []byte, do func(number protowire.Number, value []byte) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if number > protowire.MaxValidNumber {
			return errNumber
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return protowire.ParseError(n)
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(data[:n])
			if err := do(number, value); err != nil {
				return err
			}
		}
		data = data[n:]
	}
	return nil
}

// appendAllowed appends the CheckResponse that lets pass: status (1), ok_response (3) and
// dynamic_metadata (4).
func (x *exchange) appendAllowed(b []byte, headers []checkHeader) ([]byte, error) {
	h := &x.http.Response.Header
	b = protobuf.AppendText(b, 1, "") // the code 0 is not written
	b, ok := protobuf.Begin(b, 3)
	for _, name := range verify.IdentityHeaders {
		b = appendOverwrite(b, 2, name, h.Peek(name))
	}
	absent := make([]string, 0, len(occasional)) // in lower case
	for _, name := range occasional {
		if value := h.Peek(name); len(value) > 0 {
			b = appendOverwrite(b, 2, name, value)
		} else {
			absent = append(absent, strings.ToLower(name))
		}
	}
	var claims []string // in lower case
	for name, value := range h.All() {
		if strings.HasPrefix(string(name), verify.ClaimHeader) {
			b = appendOverwrite(b, 2, string(name), value)
			claims = append(claims, lower(name))
		}
	}
	for i := range headers {
		written, is := identityOf(headers[i].name)
		switch {
		case !is:
			continue
		case written == claimHeader && slices.Contains(claims, string(headers[i].name)):
		case written == string(headers[i].name) && !slices.Contains(absent, written):
		default:
			b = protobuf.AppendText(b, 5, headers[i].name)
		}
	}
	return appendStruct(protobuf.End(b, ok), 4, x.http.Response.Body())
}

// appendDenied appends the CheckResponse that refuses: status (1) and denied_response (2).
func (x *exchange) appendDenied(b []byte, got int) []byte {
	code := connect.CodeUnauthenticated
	if got == http.StatusForbidden {
		code = connect.CodePermissionDenied
	}
	b, status := protobuf.Begin(b, 1)
	b = protobuf.End(protobuf.AppendNumber(b, 1, uint64(code)), status)
	b, denied := protobuf.Begin(b, 2)
	b, status = protobuf.Begin(b, 1)
	b = protobuf.End(protobuf.AppendNumber(b, 1, uint64(got)), status)
	for _, name := range []string{"Content-Type", "Cache-Control", "WWW-Authenticate", "X-Auth-Reason"} {
		if value := x.http.Response.Header.Peek(name); len(value) > 0 {
			b = appendOverwrite(b, 2, name, value)
		}
	}
	return protobuf.End(protobuf.AppendText(b, 3, x.http.Response.Body()), denied)
}

// appendOverwrite appends a HeaderValueOption that sets a header in the place of any that
// the client has sent: header (1), append_action (3), keep_empty_value (4).
func appendOverwrite(b []byte, number protowire.Number, name string, value []byte) []byte {
	const overwriteIfExistsOrAdd = 2
	b, option := protobuf.Begin(b, number)
	b, header := protobuf.Begin(b, 1)
	b = protobuf.AppendText(protobuf.AppendText(b, 1, strings.ToLower(name)), 2, value)
	b = protobuf.AppendNumber(protobuf.End(b, header), 3, overwriteIfExistsOrAdd)
	return protobuf.End(protobuf.AppendNumber(b, 4, 1), option)
}

// ask adds a header that verify looks at. joined says that it may have been several,
// with commas between: of two credentials verify believes none.
func (x *exchange) ask(header *checkHeader, joined bool) {
	canonical, is := asked[lower(header.name)]
	if !is {
		return
	}
	h := &x.http.Request.Header
	if joined && (canonical == "Authorization" || canonical == "Cookie") {
		for part := range strings.SplitSeq(string(header.value), ",") {
			h.Add(canonical, strings.TrimSpace(part))
		}
		return
	}
	h.Add(canonical, string(header.value))
}

// lower is a header's name in lower case, as Envoy has it already.
func lower(name []byte) string { return strings.ToLower(string(name)) }

var (
	// identities are the headers that applications believe, in lower case, by their letters and digits.
	identities = map[string]string{}
	// occasional are those of them that not every answer has: a client's must go then.
	occasional = []string{verify.StaleHeader, verify.AssertionHeader}
	// claimHeader stands for all headers of claims, whose plain names begin with claimPlain.
	claimHeader = strings.ToLower(verify.ClaimHeader)
	claimPlain  = appendPlain(nil, []byte(verify.ClaimHeader))
)

func init() {
	for _, name := range slices.Concat(occasional, verify.IdentityHeaders) {
		name = strings.ToLower(name)
		identities[string(appendPlain(nil, []byte(name)))] = name
	}
}

// longestName is more than the letters and digits of any identity header.
const longestName = 64

// identityOf returns the identity header that an application may take a header for: some
// read a name without what is neither a letter nor a digit.
func identityOf(name []byte) (header string, is bool) {
	var buffer [longestName]byte
	plain := appendPlain(buffer[:0], name)
	if bytes.HasPrefix(plain, claimPlain) {
		return claimHeader, true
	}
	header, is = identities[string(plain)]
	return header, is
}

// appendPlain appends a name's letters and digits, in lower case, at most longestName.
func appendPlain(b, name []byte) []byte {
	for _, c := range name {
		switch {
		case len(b) == longestName:
			return b
		case 'A' <= c && c <= 'Z':
			b = append(b, c-'A'+'a')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			b = append(b, c)
		}
	}
	return b
}
