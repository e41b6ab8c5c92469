package zitadeltest

import (
	"net/http"

	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2beta"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// method is a call of the session service. Both versions do the same, with messages that v2beta has fewer fields of.
type method struct {
	v2, v2beta proto.Message
	run        func(s *Server, as *caller, request proto.Message, beta bool) (proto.Message, error)
}

var methods = map[string]method{
	ListSessions:  {&sessionv2.ListSessionsRequest{}, &sessionv2beta.ListSessionsRequest{}, run((*Server).listSessions)},
	GetSession:    {&sessionv2.GetSessionRequest{}, &sessionv2beta.GetSessionRequest{}, run((*Server).getSession)},
	CreateSession: {&sessionv2.CreateSessionRequest{}, &sessionv2beta.CreateSessionRequest{}, run((*Server).createSession)},
	SetSession:    {&sessionv2.SetSessionRequest{}, &sessionv2beta.SetSessionRequest{}, run((*Server).setSession)},
	DeleteSession: {&sessionv2.DeleteSessionRequest{}, &sessionv2beta.DeleteSessionRequest{}, run((*Server).deleteSession)},
}

func run[Req, Res proto.Message](f func(*Server, *caller, Req, bool) (Res, error)) func(*Server, *caller, proto.Message, bool) (proto.Message, error) {
	return func(s *Server, as *caller, request proto.Message, beta bool) (proto.Message, error) {
		return f(s, as, request.(Req), beta)
	}
}

// request returns an empty request.
func (m method) request(beta bool) proto.Message {
	if beta {
		return m.v2beta.ProtoReflect().New().Interface()
	}
	return m.v2.ProtoReflect().New().Interface()
}

// call runs it: who calls is found out first, then whether the request is valid. The reply is one of v2.
func (m method) call(s *Server, header http.Header, request proto.Message, beta bool) (proto.Message, error) {
	as, err := s.authenticate(header)
	if err != nil {
		return nil, err
	}
	if beta {
		wanted := m.request(false)
		convert(request, wanted)
		request = wanted
	}
	if err := validate(request, beta); err != nil {
		return nil, err
	}
	return m.run(s, as, request, beta)
}

// convert makes a message of one version one of the other: numbers and types of the fields that both have are the same.
func convert(from, to proto.Message) {
	data, err := proto.Marshal(from)
	if err == nil {
		err = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, to)
	}
	if err != nil {
		panic(err)
	}
}

func stringValue(text string) protoreflect.Value { return protoreflect.ValueOfString(text) }
