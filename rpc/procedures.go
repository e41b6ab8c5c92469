package rpc

import (
	"bytes"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/objectv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2beta"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// version is a version of the session service.
type version struct {
	service    string
	procedures []procedure
}

// procedure is a call, and what its messages are in protobuf.
type procedure struct {
	name string
	// reads changes nothing.
	reads bool
	// request makes an empty request.
	request func() proto.Message
	// answer appends the answer that stands in the JSON of httpapi.
	answer func(b, json []byte) ([]byte, error)
}

var versions = []version{
	{"zitadel.session.v2.SessionService", []procedure{
		{"ListSessions", true, empty[sessionv2.ListSessionsRequest], either[sessionv2.ListSessionsResponse](list)},
		{"GetSession", true, empty[sessionv2.GetSessionRequest], either[sessionv2.GetSessionResponse](get)},
		{"CreateSession", false, empty[sessionv2.CreateSessionRequest], written[sessionv2.CreateSessionResponse]},
		{"SetSession", false, empty[sessionv2.SetSessionRequest], written[sessionv2.SetSessionResponse]},
		{"DeleteSession", false, empty[sessionv2.DeleteSessionRequest], written[sessionv2.DeleteSessionResponse]},
	}},
	{"zitadel.session.v2beta.SessionService", []procedure{
		{"ListSessions", true, empty[sessionv2beta.ListSessionsRequest], either[sessionv2beta.ListSessionsResponse](list)},
		{"GetSession", true, empty[sessionv2beta.GetSessionRequest], either[sessionv2beta.GetSessionResponse](get)},
		{"CreateSession", false, empty[sessionv2beta.CreateSessionRequest], written[sessionv2beta.CreateSessionResponse]},
		{"SetSession", false, empty[sessionv2beta.SetSessionRequest], written[sessionv2beta.SetSessionResponse]},
		{"DeleteSession", false, empty[sessionv2beta.DeleteSessionRequest], written[sessionv2beta.DeleteSessionResponse]},
	}},
}

// messageOf is a pointer to a message.
type messageOf[T any] interface {
	*T
	proto.Message
}

func empty[T any, P messageOf[T]]() proto.Message { return P(new(T)) }

// either answers by quick, which knows the one form that this program writes. An answer of ZITADEL, in front of which it may
// be, has spaces, and its fields in another order.
func either[T any, P messageOf[T]](quick func(b, json []byte) ([]byte, error)) func(b, json []byte) ([]byte, error) {
	return func(b, json []byte) ([]byte, error) {
		if answer, err := quick(b, json); err == nil {
			return answer, nil
		}
		return written[T, P](b, json)
	}
}

// written answers a write, or what has any form. A newer ZITADEL may say more than is known here.
func written[T any, P messageOf[T]](b, json []byte) ([]byte, error) {
	m := P(new(T))
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(json, m); err != nil {
		return nil, err
	}
	return proto.MarshalOptions{}.MarshalAppend(b, m)
}

var errForm = errors.New("the answer has another form than it should")

// get answers GetSession.
func get(b, json []byte) ([]byte, error) {
	doc, ok := bytes.CutPrefix(json, []byte(`{"session":`))
	if !ok {
		return nil, errForm
	}
	b, rest, err := session.AppendProto(b, 1, doc)
	if err == nil && string(rest) != "}" {
		err = errForm
	}
	return b, err
}

// list answers ListSessions.
func list(b, json []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(json, []byte(`{"details":`))
	if !ok {
		return nil, errForm
	}
	const sessions = `,"sessions":[`
	at := bytes.Index(rest, []byte(sessions))
	if at < 0 {
		return nil, errForm
	}
	var details objectv2.ListDetails
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(rest[:at], &details); err != nil { // nextCursor
		return nil, err
	}
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(proto.Size(&details)))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, &details)
	if err != nil {
		return nil, err
	}
	rest = rest[at+len(sessions):]
	for len(rest) > 0 && rest[0] == '{' {
		if b, rest, err = session.AppendProto(b, 2, rest); err != nil {
			return nil, err
		}
		if len(rest) > 0 && rest[0] == ',' {
			rest = rest[1:]
		}
	}
	if string(rest) != "]}" {
		return nil, errForm
	}
	return b, nil
}

// requestJSON translates a request, whose form is that of p.
func (p *procedure) requestJSON(form *jsonForm, m *message) ([]byte, error) {
	if m.json {
		return m.data, nil
	}
	if text, ok := form.appendJSON(make([]byte, 0, 2*len(m.data)+16), m.data); ok {
		return text, nil
	}
	request := p.request()
	if err := proto.Unmarshal(m.data, request); err != nil {
		return nil, err
	}
	return protojson.Marshal(request)
}
