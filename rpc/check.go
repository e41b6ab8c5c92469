package rpc

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	pb "github.com/cloakroom-dev/cloakroom/rpc/pb/check"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// policyKey is the context extension that names a policy. It is the route's; the client's
// path decides nothing.
const policyKey = "policy"

// asked are the headers of a client's request that verify looks at.
var asked = map[string]string{
	"authorization":   "Authorization",
	"x-session-token": "X-Session-Token",
	"cookie":          "Cookie",
	"x-request-id":    "X-Request-Id",
	"x-forwarded-for": "X-Forwarded-For",
}

// check answers Envoy's external authorization: verify decides, by the headers of the
// client's request.
func (s *Server) check(ctx context.Context, request *connect.Request[pb.CheckRequest]) (*connect.Response[pb.CheckResponse], error) {
	attributes := request.Msg.GetAttributes()
	client := attributes.GetRequest().GetHttp()
	x := begin(ctx, nil)
	defer x.end()
	var names []string                                           // of the client's headers
	if raw := client.GetHeaderMap().GetHeaders(); len(raw) > 0 { // encode_raw_headers: one for each line
		for _, h := range raw {
			value := h.GetRawValue()
			if len(value) == 0 {
				value = []byte(h.GetValue())
			}
			x.ask(h.GetKey(), string(value), false)
			names = append(names, strings.ToLower(h.GetKey()))
		}
	} else {
		for name, value := range client.GetHeaders() {
			x.ask(name, value, true)
			names = append(names, strings.ToLower(name))
		}
	}
	s.config.Verify(ctx, &x.http, attributes.GetContextExtensions()[policyKey])

	answer := new(pb.CheckResponse)
	h := &x.http.Response.Header
	switch got := x.http.Response.StatusCode(); got {
	case http.StatusOK:
		ok := new(pb.OkHttpResponse)
		for _, name := range verify.IdentityHeaders {
			ok.Headers = append(ok.Headers, overwrite(name, string(h.Peek(name))))
		}
		if age := h.Peek(verify.StaleHeader); len(age) > 0 {
			ok.Headers = append(ok.Headers, overwrite(verify.StaleHeader, string(age)))
		}
		for _, name := range names {
			if isIdentity(name) && !slices.ContainsFunc(ok.Headers, func(o *pb.HeaderValueOption) bool { return o.Header.Key == name }) {
				ok.HeadersToRemove = append(ok.HeadersToRemove, name)
			}
		}
		answer.Status = new(pb.Status)
		answer.HttpResponse = &pb.CheckResponse_OkResponse{OkResponse: ok}
		answer.DynamicMetadata = new(structpb.Struct)
		if err := protojson.Unmarshal(x.http.Response.Body(), answer.DynamicMetadata); err != nil {
			return nil, s.bug(checkService, err)
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		denied := &pb.DeniedHttpResponse{Status: &pb.HttpStatus{Code: int32(got)}, Body: string(x.http.Response.Body())}
		for _, name := range []string{"Content-Type", "Cache-Control", "WWW-Authenticate", "X-Auth-Reason"} {
			if value := h.Peek(name); len(value) > 0 {
				denied.Headers = append(denied.Headers, overwrite(name, string(value)))
			}
		}
		refused := connect.CodeUnauthenticated
		if got == http.StatusForbidden {
			refused = connect.CodePermissionDenied
		}
		answer.Status = &pb.Status{Code: int32(refused)}
		answer.HttpResponse = &pb.CheckResponse_DeniedResponse{DeniedResponse: denied}
	default: // an answer would be a denial to an Envoy that does not know error_response (I2)
		return nil, connect.NewError(connect.CodeUnavailable, errUnavailable)
	}
	return connect.NewResponse(answer), nil
}

// ask tells verify a header of the client's request. joined says that value may be that of
// several lines, with commas between: of two credentials verify believes none.
func (x *exchange) ask(name, value string, joined bool) {
	canonical, is := asked[strings.ToLower(name)]
	if !is {
		return
	}
	h := &x.http.Request.Header
	if joined && canonical == "Authorization" {
		for part := range strings.SplitSeq(value, ",") {
			h.Add(canonical, strings.TrimSpace(part))
		}
		return
	}
	h.Add(canonical, value)
}

// isIdentity says whether an application may take a header of that name for one of ours:
// some read a name without what is neither a letter nor a digit.
func isIdentity(name string) bool {
	return identities[plain(name)]
}

var identities = func() map[string]bool {
	all := map[string]bool{plain(verify.StaleHeader): true}
	for _, name := range verify.IdentityHeaders {
		all[plain(name)] = true
	}
	return all
}()

// plain is a name's letters and digits.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, name)
}

// overwrite is a header that takes the place of the client's.
func overwrite(name, value string) *pb.HeaderValueOption {
	return &pb.HeaderValueOption{
		Header:         &pb.HeaderValue{Key: strings.ToLower(name), Value: value},
		AppendAction:   pb.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		KeepEmptyValue: true,
	}
}
