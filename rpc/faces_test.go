package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/objectv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// faces is a program that is asked by REST and by gRPC.
type faces struct {
	*fixture
	rest string // URL of the API
}

// bothFaces serves the API over HTTP beside the listener of gRPC.
func bothFaces(t *testing.T, changes ...func(*setup)) *faces {
	t.Helper()
	f := &faces{fixture: start(t, changes...)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.rest = "http://" + ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.api.Run(ctx, ln, 10*time.Second) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

// byREST sends the request of a call by REST, and decodes the answer; code and text are
// those of an error.
func (f *faces) byREST(as, call string, request, answer proto.Message) (code int, text string) {
	f.t.Helper()
	body, err := protojson.Marshal(request)
	if err != nil {
		f.t.Fatal(err)
	}
	method, path := http.MethodPost, "/v2/sessions/search"
	if of, is := request.(interface{ GetSessionId() string }); is {
		path = "/v2/sessions/" + url.PathEscape(of.GetSessionId())
		var members map[string]any
		if err := json.Unmarshal(body, &members); err != nil {
			f.t.Fatal(err)
		}
		delete(members, "sessionId")
		if body, err = json.Marshal(members); err != nil {
			f.t.Fatal(err)
		}
	}
	switch m := request.(type) {
	case *sessionv2.GetSessionRequest:
		method, body = http.MethodGet, nil
		if m.SessionToken != nil {
			path += "?sessionToken=" + url.QueryEscape(*m.SessionToken)
		}
	case *sessionv2.CreateSessionRequest:
		path = "/v2/sessions"
	case *sessionv2.SetSessionRequest:
		method = http.MethodPatch
	case *sessionv2.DeleteSessionRequest:
		method = http.MethodDelete
	}
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.rest+path, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+f.secret[as])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if response.StatusCode/100 == 2 {
		if err := protojson.Unmarshal(body, answer); err != nil {
			f.t.Fatalf("%s: %v", body, err)
		}
		return 0, ""
	}
	var refused struct {
		Code    int
		Message string
	}
	if err := json.Unmarshal(body, &refused); err != nil {
		f.t.Fatalf("%s: %v", body, err)
	}
	return refused.Code, refused.Message
}

// same asks both ways what changes nothing, and compares.
func (f *faces) same(as, call string, request, answer proto.Message) {
	f.t.Helper()
	byGRPC := answer.ProtoReflect().New().Interface()
	byREST := answer.ProtoReflect().New().Interface()
	err := status.Convert(f.call(as, call, request, byGRPC))
	code, text := f.byREST(as, call, request, byREST)
	if int(err.Code()) != code || err.Message() != text {
		f.t.Errorf("%s %s %v: by gRPC %v, by REST %d: %s", as, call, request, err, code, text)
	}
	if a, ok := byGRPC.(*sessionv2.ListSessionsResponse); ok && a.Details != nil {
		byREST.(*sessionv2.ListSessionsResponse).Details.Timestamp = a.Details.Timestamp // two searches, two instants
	}
	if !proto.Equal(byGRPC, byREST) {
		f.t.Errorf("%s %s %v:\nby gRPC %v\nby REST %v", as, call, request, byGRPC, byREST)
	}
}

// Sessions that were created either way are found either way, by every query, in every
// order, with the same totals and pages; and the same is refused.
func TestFaces_SameAnswers(t *testing.T) {
	t.Parallel()
	f := bothFaces(t)
	random := rand.New(rand.NewPCG(3, 4))
	some := func(prefix string, n int) string { return fmt.Sprint(prefix, random.IntN(n)) }
	var ids []string
	var dates []*timestamppb.Timestamp
	for i := range 60 {
		create := &sessionv2.CreateSessionRequest{}
		if random.IntN(5) > 0 {
			create.Checks = &sessionv2.Checks{User: &sessionv2.CheckUser{Search: &sessionv2.CheckUser_UserId{UserId: some("u", 6)}}}
		}
		if random.IntN(2) > 0 {
			create.UserAgent = &sessionv2.UserAgent{FingerprintId: proto.String(some("fp", 4)), Description: proto.String("Ä\"\\\n")}
		}
		if random.IntN(2) > 0 {
			create.Metadata = map[string][]byte{"k": {byte(i), 255}, "ключ": []byte("v")}
		}
		if random.IntN(2) > 0 {
			create.Lifetime = &durationpb.Duration{Seconds: 3600, Nanos: int32(random.IntN(1_000_000_000))}
		}
		created := new(sessionv2.CreateSessionResponse)
		if i%2 == 0 {
			if err := f.call("admin", "CreateSession", create, created); err != nil {
				t.Fatal(err)
			}
		} else if code, text := f.byREST("admin", "CreateSession", create, created); code != 0 {
			t.Fatal(text)
		}
		ids, dates = append(ids, created.SessionId), append(dates, created.Details.ChangeDate)
	}
	query := func() *sessionv2.SearchQuery {
		q := new(sessionv2.SearchQuery)
		switch random.IntN(8) {
		case 0:
			in := &sessionv2.IDsQuery{}
			for range random.IntN(4) {
				in.Ids = append(in.Ids, ids[random.IntN(len(ids))])
			}
			q.Query = &sessionv2.SearchQuery_IdsQuery{IdsQuery: in}
		case 1, 2:
			q.Query = &sessionv2.SearchQuery_UserIdQuery{UserIdQuery: &sessionv2.UserIDQuery{Id: some("u", 7)}}
		case 3, 4:
			q.Query = &sessionv2.SearchQuery_CreationDateQuery{CreationDateQuery: &sessionv2.CreationDateQuery{CreationDate: dates[random.IntN(len(dates))]}}
			q.GetCreationDateQuery().Method++ // of five
			for range random.IntN(4) {
				q.GetCreationDateQuery().Method++
			}
		case 5:
			q.Query = &sessionv2.SearchQuery_CreatorQuery{CreatorQuery: &sessionv2.CreatorQuery{Id: [](*string){nil, proto.String("svc-admin"), proto.String("other"), proto.String("")}[random.IntN(4)]}}
		case 6:
			q.Query = &sessionv2.SearchQuery_UserAgentQuery{UserAgentQuery: &sessionv2.UserAgentQuery{FingerprintId: [](*string){nil, proto.String(some("fp", 5)), proto.String("")}[random.IntN(3)]}}
		case 7:
			q.Query = &sessionv2.SearchQuery_ExpirationDateQuery{ExpirationDateQuery: &sessionv2.ExpirationDateQuery{ExpirationDate: timestamppb.New(time.Now().Add(time.Duration(random.IntN(7200)) * time.Second)), Method: 1}}
		}
		return q
	}
	callers := []string{"admin", "admin", "admin", "nobody", ""}
	for range testdepth.Of(1500, 200) {
		list := &sessionv2.ListSessionsRequest{SortingColumn: sessionv2.SessionFieldName(random.IntN(2))}
		if random.IntN(3) > 0 {
			list.Query = &objectv2.ListQuery{Offset: uint64(random.IntN(6)), Limit: uint32(random.IntN(8)), Asc: random.IntN(2) == 0}
			if random.IntN(20) == 0 {
				list.Query.Limit = 5000
			}
		}
		for range random.IntN(4) {
			list.Queries = append(list.Queries, query())
		}
		f.same(callers[random.IntN(len(callers))], "ListSessions", list, new(sessionv2.ListSessionsResponse))
		get := &sessionv2.GetSessionRequest{SessionId: append(ids, "unknown", "ü%/é")[random.IntN(len(ids)+2)]}
		if random.IntN(4) == 0 {
			get.SessionToken = proto.String("wrong")
		}
		f.same(callers[random.IntN(len(callers))], "GetSession", get, new(sessionv2.GetSessionResponse))
	}
	for name, refused := range map[string]proto.Message{
		"SetSession":    &sessionv2.SetSessionRequest{SessionId: ids[0], Lifetime: &durationpb.Duration{Seconds: -1}},
		"DeleteSession": &sessionv2.DeleteSessionRequest{SessionId: ids[0], SessionToken: proto.String("wrong")},
		"CreateSession": &sessionv2.CreateSessionRequest{Checks: &sessionv2.Checks{Totp: &sessionv2.CheckTOTP{Code: "1"}}},
	} {
		for _, as := range callers {
			f.same(as, name, refused, map[string]proto.Message{
				"SetSession": new(sessionv2.SetSessionResponse), "DeleteSession": new(sessionv2.DeleteSessionResponse), "CreateSession": new(sessionv2.CreateSessionResponse),
			}[name])
		}
	}
}
