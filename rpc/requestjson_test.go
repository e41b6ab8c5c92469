package rpc

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/rpc/pb/objectv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func usualRequests() []proto.Message {
	create := &sessionv2.CreateSessionRequest{
		Checks:   &sessionv2.Checks{User: &sessionv2.CheckUser{Search: &sessionv2.CheckUser_UserId{UserId: "u\"1"}}, Totp: &sessionv2.CheckTOTP{Code: "1"}},
		Metadata: map[string][]byte{"k": {0, 255}, "é": nil},
		UserAgent: &sessionv2.UserAgent{
			FingerprintId: proto.String(""), Header: map[string]*sessionv2.UserAgent_HeaderValues{"accept": {Values: []string{"a", "b"}}, "x": {}},
		},
		Lifetime: &durationpb.Duration{Seconds: 3600, Nanos: 1_000},
	}
	return []proto.Message{
		&sessionv2.ListSessionsRequest{}, &sessionv2.GetSessionRequest{SessionId: "1", SessionToken: proto.String("")}, create, &sessionv2.SetSessionRequest{SessionId: "1", Lifetime: &durationpb.Duration{}},
		&sessionv2.DeleteSessionRequest{SessionId: "1"},
		&sessionv2.ListSessionsRequest{
			Query:         &objectv2.ListQuery{Offset: 1 << 60, Limit: 10, Asc: true},
			SortingColumn: sessionv2.SessionFieldName_SESSION_FIELD_NAME_CREATION_DATE,
			Queries: []*sessionv2.SearchQuery{
				{Query: &sessionv2.SearchQuery_UserIdQuery{UserIdQuery: &sessionv2.UserIDQuery{Id: "u1"}}},
				{Query: &sessionv2.SearchQuery_IdsQuery{IdsQuery: &sessionv2.IDsQuery{Ids: []string{"1", "", "3"}}}},
				{Query: &sessionv2.SearchQuery_CreationDateQuery{CreationDateQuery: &sessionv2.CreationDateQuery{CreationDate: &timestamppb.Timestamp{Seconds: 9, Nanos: 120_000_000}, Method: 3}}},
				{},
			},
		},
	}
}

var requestForms = map[string]proto.Message{
	"list": new(sessionv2.ListSessionsRequest), "get": new(sessionv2.GetSessionRequest), "create": new(sessionv2.CreateSessionRequest),
	"set": new(sessionv2.SetSessionRequest), "delete": new(sessionv2.DeleteSessionRequest),
}

// The JSON of a request stands for the message that protobuf's own reader makes of it, and
// those of usual form need no message.
func TestRequestJSON(t *testing.T) {
	for _, m := range usualRequests() {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text, ok := formOf(m.ProtoReflect().Descriptor()).appendJSON(nil, data)
		got := m.ProtoReflect().New().Interface()
		if !ok || protojson.Unmarshal(text, got) != nil || !proto.Equal(got, m) {
			t.Errorf("%T %v: %s, %v", m, m, text, ok)
		}
	}
	assertion := &sessionv2.CreateSessionRequest{Checks: &sessionv2.Checks{WebAuthN: &sessionv2.CheckWebAuthN{CredentialAssertionData: new(structpb.Struct)}}}
	data, err := proto.Marshal(assertion)
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := formOf(assertion.ProtoReflect().Descriptor()).appendJSON(nil, data); ok {
		t.Errorf("a Struct is written as %s", text)
	}
}

func FuzzRequestJSON(f *testing.F) {
	forms := map[string]*jsonForm{}
	for name, m := range requestForms {
		forms[name] = formOf(m.ProtoReflect().Descriptor())
	}
	for _, m := range usualRequests() {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, m := range requestForms {
			text, ok := forms[name].appendJSON(nil, data)
			if !ok {
				continue
			}
			want, got := m.ProtoReflect().New().Interface(), m.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(data, want); err != nil {
				t.Fatalf("%s %x: %s, and %v", name, data, text, err)
			}
			if err := protojson.Unmarshal(text, got); err != nil {
				t.Fatalf("%s %x: %s: %v", name, data, text, err)
			}
			proto.Reset(m)
			want.ProtoReflect().SetUnknown(nil)
			canonical, err := protojson.Marshal(want)
			again := m.ProtoReflect().New().Interface()
			if err != nil || protojson.Unmarshal(canonical, again) != nil {
				t.Fatalf("%s %x: %s, and protobuf's own JSON does not stand for it: %v", name, data, text, err)
			}
			if !proto.Equal(got, again) {
				t.Errorf("%s %x: %s\ngot  %v\nwant %v", name, data, text, got, again)
			}
		}
	})
}

func BenchmarkRequestJSON(b *testing.B) {
	all := usualRequests()
	data, err := proto.Marshal(all[len(all)-1])
	if err != nil {
		b.Fatal(err)
	}
	b.Run("form", func(b *testing.B) {
		form := formOf(all[len(all)-1].ProtoReflect().Descriptor())
		var out []byte
		b.ReportAllocs()
		for b.Loop() {
			out, _ = form.appendJSON(out[:0], data)
		}
	})
	b.Run("message", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m := new(sessionv2.ListSessionsRequest)
			_ = proto.Unmarshal(data, m)
			_, _ = protojson.Marshal(m)
		}
	})
}
