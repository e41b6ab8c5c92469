package zitadeltest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2beta"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// connectServices returns the handler of the session services by Connect, gRPC and gRPC-Web.
func (s *Server) connectServices() http.Handler {
	mux := http.NewServeMux()
	const v2, v2beta = "/zitadel.session.v2.SessionService/", "/zitadel.session.v2beta.SessionService/"
	mount[sessionv2.ListSessionsRequest, sessionv2.ListSessionsResponse](mux, s, v2, ListSessions, false)
	mount[sessionv2.GetSessionRequest, sessionv2.GetSessionResponse](mux, s, v2, GetSession, false)
	mount[sessionv2.CreateSessionRequest, sessionv2.CreateSessionResponse](mux, s, v2, CreateSession, false)
	mount[sessionv2.SetSessionRequest, sessionv2.SetSessionResponse](mux, s, v2, SetSession, false)
	mount[sessionv2.DeleteSessionRequest, sessionv2.DeleteSessionResponse](mux, s, v2, DeleteSession, false)
	mount[sessionv2beta.ListSessionsRequest, sessionv2beta.ListSessionsResponse](mux, s, v2beta, ListSessions, true)
	mount[sessionv2beta.GetSessionRequest, sessionv2beta.GetSessionResponse](mux, s, v2beta, GetSession, true)
	mount[sessionv2beta.CreateSessionRequest, sessionv2beta.CreateSessionResponse](mux, s, v2beta, CreateSession, true)
	mount[sessionv2beta.SetSessionRequest, sessionv2beta.SetSessionResponse](mux, s, v2beta, SetSession, true)
	mount[sessionv2beta.DeleteSessionRequest, sessionv2beta.DeleteSessionResponse](mux, s, v2beta, DeleteSession, true)
	return mux
}

// mount adds the handler of one call.
func mount[Req, Res any](mux *http.ServeMux, s *Server, service, call string, beta bool) {
	handler := connect.NewUnaryHandler(service+call, func(_ context.Context, r *connect.Request[Req]) (*connect.Response[Res], error) {
		reply, err := methods[call].call(s, r.Header(), any(r.Msg).(proto.Message), beta)
		if err != nil {
			return nil, faultOf(err).connect()
		}
		message := new(Res)
		convert(reply, any(message).(proto.Message))
		answer := connect.NewResponse(message)
		answer.Header().Set("Cache-Control", "no-store")
		answer.Header().Set("Pragma", "no-cache")
		return answer, nil
	}, connect.WithCodec(jsonCodec("json")), connect.WithCodec(jsonCodec("json; charset=utf-8")), connect.WithReadMaxBytes(maxBody))
	mux.Handle(service+call, handler)
}

// serveService answers what is Connect or gRPC.
func (s *Server) serveService(services http.Handler, w *answer, r *http.Request) {
	w.Header().Set("X-Robots-Tag", "none")
	if preflight(w, r, false) {
		return
	}
	w.Header().Set("Vary", "Origin")
	allowOrigin(w, r)
	services.ServeHTTP(w, r)
}

// jsonCodec is Connect's own codec, but for a text that has the name of the message's type in ZITADEL's code.
type jsonCodec string

// Name implements connect.Codec.
func (c jsonCodec) Name() string { return string(c) }

// Marshal implements connect.Codec.
func (jsonCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("zitadeltest: %T is no message", message)
	}
	return protojson.Marshal(m)
}

// Unmarshal implements connect.Codec.
func (jsonCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("zitadeltest: %T is no message", message)
	}
	if len(data) == 0 {
		return errors.New("zero-length payload is not a valid JSON object")
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		name := fmt.Sprintf("%T", message)
		return fmt.Errorf("unmarshal into *session.%s: %w", name[strings.LastIndexByte(name, '.')+1:], err)
	}
	return nil
}
