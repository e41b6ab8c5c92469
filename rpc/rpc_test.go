package rpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/rpc"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/objectv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2beta"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/zitadel"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// fixture is a program that answers at addr.
type fixture struct {
	t      *testing.T
	addr   string
	secret map[string]string // of API keys, by name
	conn   *grpc.ClientConn
	redis  *redistest.Server
	store  *cache.Store
	api    *httpapi.Server
	stop   func() error // stops the listener of gRPC, and waits for it
}

// setup is what a test may change before the program starts.
type setup struct {
	api     httpapi.Config
	rpc     rpc.Config
	unix    bool // listen on a unix socket
	tls     *server.TLSListener
	dialTLS credentials.TransportCredentials
}

func start(t *testing.T, changes ...func(*setup)) *fixture {
	t.Helper()
	f := &fixture{t: t, secret: map[string]string{}, redis: redistest.Start(t)}
	log := slog.New(slog.DiscardHandler)
	store, err := cache.Open(t.Context(), cache.Config{Redis: f.redis.Client(t), Shards: 1, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	f.store = store
	s := &setup{
		api: httpapi.Config{Store: store, InstanceID: "instance-1", Logger: log},
		rpc: rpc.Config{Services: rpc.Services{API: true, Check: true}, Ready: store.Ping, MaxBytes: 256 << 10, MaxHeaderBytes: 64 << 10, Logger: log},

		dialTLS: insecure.NewCredentials(),
	}
	for _, change := range changes {
		change(s)
	}
	api, err := httpapi.New(s.api)
	if err != nil {
		t.Fatal(err)
	}
	f.api = api
	f.setKeys(api)

	network, at := "tcp", "127.0.0.1:0"
	if s.unix {
		network, at = "unix", filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	if f.addr = ln.Addr().String(); s.unix {
		f.addr = "unix:" + f.addr
	}
	if s.tls != nil {
		s.tls.Listener = ln
		ln = s.tls
	}
	ctx, stop := context.WithCancel(context.Background())
	s.rpc.Anonymous = s.api.Anonymous
	s.rpc.API, s.rpc.Verify = api.Translated(ctx, !s.unix)
	served := rpc.New(s.rpc)
	ended := make(chan error, 1)
	run, end := context.WithCancel(ctx)
	go func() { ended <- served.Run(run, ln, 10*time.Second, stop) }()
	f.stop = sync.OnceValue(func() error {
		end()
		err := <-ended
		stop()
		return err
	})
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	})
	if f.conn, err = grpc.NewClient(f.addr, grpc.WithTransportCredentials(s.dialTLS)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.conn.Close() })
	return f
}

// setKeys makes API keys, of one who may do all and of one who may do nothing.
func (f *fixture) setKeys(api *httpapi.Server) {
	f.t.Helper()
	var text []byte
	var err error
	for _, k := range []caller.APIKey{
		{Name: "admin", UserID: "svc-admin", Permissions: []string{"session.read", "session.write", "session.delete"}},
		{Name: "nobody", UserID: "svc-nobody"},
	} {
		f.secret[k.Name], k.SHA256 = caller.NewAPIKeySecret()
		if text, err = caller.AppendAPIKey(text, k); err != nil {
			f.t.Fatal(err)
		}
	}
	keys, err := caller.ParseAPIKeys(text)
	if err != nil {
		f.t.Fatal(err)
	}
	api.Callers.SetKeys(keys)
}

// call makes a call as the caller with an API key of that name; "" for none.
func (f *fixture) call(as, name string, request, answer proto.Message) error {
	ctx := f.t.Context()
	if as != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+f.secret[as])
	}
	return f.conn.Invoke(ctx, "/zitadel.session.v2.SessionService/"+name, request, answer)
}

// The five calls, by a client of grpc-go.
func TestGRPC_FiveCalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	created := new(sessionv2.CreateSessionResponse)
	create := &sessionv2.CreateSessionRequest{
		Checks:   &sessionv2.Checks{User: &sessionv2.CheckUser{Search: &sessionv2.CheckUser_UserId{UserId: "u1"}}},
		Metadata: map[string][]byte{"k": []byte("v\x00\xff")},
		UserAgent: &sessionv2.UserAgent{
			FingerprintId: proto.String("fp"), Description: proto.String("Zoë \"quoted\"\n"),
			Header: map[string]*sessionv2.UserAgent_HeaderValues{"accept": {Values: []string{"a", "b"}}},
		},
	}
	if err := f.call("admin", "CreateSession", create, created); err != nil {
		t.Fatal(err)
	}
	if created.SessionId == "" || created.SessionToken == "" || created.Details.GetSequence() != 1 || created.Details.GetResourceOwner() != "instance-1" {
		t.Errorf("created %v", created)
	}
	got := new(sessionv2.GetSessionResponse)
	if err := f.call("admin", "GetSession", &sessionv2.GetSessionRequest{SessionId: created.SessionId}, got); err != nil {
		t.Fatal(err)
	}
	want := &sessionv2.Session{
		Id: created.SessionId, CreationDate: created.Details.ChangeDate, ChangeDate: created.Details.ChangeDate, Sequence: 1,
		Factors:   &sessionv2.Factors{User: &sessionv2.UserFactor{VerifiedAt: created.Details.ChangeDate, Id: "u1"}},
		Metadata:  create.Metadata,
		UserAgent: create.UserAgent,
	}
	if !proto.Equal(got.Session, want) {
		t.Errorf("got %v\nwant %v", got.Session, want)
	}
	set := new(sessionv2.SetSessionResponse)
	if err := f.call("admin", "SetSession", &sessionv2.SetSessionRequest{SessionId: created.SessionId, Metadata: map[string][]byte{"k": []byte("w")}}, set); err != nil {
		t.Fatal(err)
	}
	listed := new(sessionv2.ListSessionsResponse)
	list := &sessionv2.ListSessionsRequest{
		Query:   &objectv2.ListQuery{Limit: 10, Asc: true},
		Queries: []*sessionv2.SearchQuery{{Query: &sessionv2.SearchQuery_UserIdQuery{UserIdQuery: &sessionv2.UserIDQuery{Id: "u1"}}}},
	}
	if err := f.call("admin", "ListSessions", list, listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Sessions) != 1 || listed.Details.GetTotalResult() != 1 || string(listed.Sessions[0].Metadata["k"]) != "w" || listed.Details.GetTimestamp() == nil {
		t.Errorf("listed %v", listed)
	}
	if err := f.call("admin", "DeleteSession", &sessionv2.DeleteSessionRequest{SessionId: created.SessionId, SessionToken: &set.SessionToken}, new(sessionv2.DeleteSessionResponse)); err != nil {
		t.Fatal(err)
	}
	if err := f.call("admin", "ListSessions", list, listed); err != nil || len(listed.Sessions) != 0 {
		t.Errorf("%v, %v", listed, err)
	}
}

// Errors have ZITADEL's codes, texts and details.
func TestGRPC_Errors(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.secret["stranger"] = "not-a-token"
	for name, c := range map[string]struct {
		as, call string
		request  proto.Message
		code     codes.Code
		text, id string
	}{
		"no credentials":    {"", "GetSession", &sessionv2.GetSessionRequest{SessionId: "1"}, codes.Unauthenticated, "auth header missing", ""},
		"wrong credentials": {"stranger", "GetSession", &sessionv2.GetSessionRequest{SessionId: "1"}, codes.Unauthenticated, "invalid token", ""},
		"unknown session":   {"admin", "GetSession", &sessionv2.GetSessionRequest{SessionId: "1"}, codes.NotFound, "Session does not exist (QUERY-SFeaa)", "QUERY-SFeaa"},
		"no permission":     {"nobody", "CreateSession", &sessionv2.CreateSessionRequest{}, codes.PermissionDenied, "No matching permissions found (AUTH-5mWD2)", "AUTH-5mWD2"},
		"no ID":             {"admin", "GetSession", &sessionv2.GetSessionRequest{}, codes.InvalidArgument, "invalid GetSessionRequest.SessionId: value length must be between 1 and 200 runes, inclusive", ""},
		"a password": {
			"admin", "CreateSession", &sessionv2.CreateSessionRequest{Checks: &sessionv2.Checks{Password: &sessionv2.CheckPassword{Password: "secret"}}}, codes.Unimplemented,
			"checks.password needs an identity provider, and none is configured; state what was verified elsewhere in factors", "",
		},
		"an empty query": {
			"admin", "ListSessions", &sessionv2.ListSessionsRequest{Queries: []*sessionv2.SearchQuery{{}}}, codes.InvalidArgument,
			"invalid ListSessionsRequest.Queries[0]: embedded message failed validation | caused by: invalid SearchQuery.Query: value is required", "",
		},
	} {
		err := f.call(c.as, c.call, c.request, new(sessionv2.GetSessionResponse))
		s := status.Convert(err)
		if s.Code() != c.code || s.Message() != c.text {
			t.Errorf("%s: %v: %q", name, s.Code(), s.Message())
		}
		var id string
		for _, d := range s.Details() {
			if detail, ok := d.(*zitadel.ErrorDetail); ok {
				id = detail.Id
			}
		}
		if id != c.id {
			t.Errorf("%s: the detail has the ID %q", name, id)
		}
	}
}

// A deadline that is over is told so.
func TestGRPC_Deadline(t *testing.T) {
	t.Parallel()
	f := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	err := f.conn.Invoke(ctx, "/zitadel.session.v2.SessionService/GetSession", &sessionv2.GetSessionRequest{SessionId: "1"}, new(sessionv2.GetSessionResponse))
	if status.Code(err) != codes.DeadlineExceeded && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// v2beta has the same calls.
func TestGRPC_Beta(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+f.secret["admin"])
	const service = "/zitadel.session.v2beta.SessionService/"
	got := new(sessionv2beta.GetSessionResponse)
	if err := f.conn.Invoke(ctx, service+"GetSession", &sessionv2beta.GetSessionRequest{SessionId: "s1"}, got); err != nil || got.Session.GetFactors().GetUser().GetLoginName() != "Zoë" {
		t.Errorf("got %v, %v", got, err)
	}
	listed := new(sessionv2beta.ListSessionsResponse)
	if err := f.conn.Invoke(ctx, service+"ListSessions", new(sessionv2beta.ListSessionsRequest), listed); err != nil || len(listed.Sessions) != 1 {
		t.Errorf("listed %v, %v", listed, err)
	}
}

// A message that is too large is refused with a code, as it comes, compressed, and where only
// its JSON is too large; so is one that is no message, and an unknown call.
func TestGRPC_BadRequests(t *testing.T) {
	t.Parallel()
	f := start(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+f.secret["admin"])
	create := func(bytes int) *sessionv2.CreateSessionRequest {
		return &sessionv2.CreateSessionRequest{Metadata: map[string][]byte{"k": make([]byte, bytes)}}
	}
	const call = "/zitadel.session.v2.SessionService/CreateSession"
	for name, c := range map[string]struct {
		call    string
		request proto.Message
		code    codes.Code
		options []grpc.CallOption
	}{
		"a message of 300 KiB":        {call, create(300 << 10), codes.ResourceExhausted, nil},
		"a compressed message":        {call, create(64 << 20), codes.Unimplemented, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}},
		"JSON of more than 256 KiB":   {call, create(200 << 10), codes.ResourceExhausted, nil},
		"a session that is too large": {call, create(100 << 10), codes.InvalidArgument, nil},
		"bytes that are no message":   {call, wrapperspb.Bytes([]byte{0xff}), codes.InvalidArgument, nil},
		"an unknown call":             {"/zitadel.session.v2.SessionService/Nothing", create(0), codes.Unimplemented, nil},
	} {
		err := f.conn.Invoke(ctx, c.call, c.request, new(sessionv2.CreateSessionResponse), c.options...)
		if status.Code(err) != c.code {
			t.Errorf("%s: %v, want %v", name, err, c.code)
		}
	}
	if err := f.call("admin", "CreateSession", create(1), new(sessionv2.CreateSessionResponse)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What names no session is answered here, and not handed on with our account.
func TestGRPC_BadRequestsStayHere(t *testing.T) {
	t.Parallel()
	z := zitadeltest.Start(t)
	credentials, err := upstream.ParseCredentials([]byte(z.Login.Token))
	if err != nil {
		t.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{URL: z.URL, Credentials: credentials, Queue: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	f := start(t, func(s *setup) { s.api.Upstream, s.api.UpstreamTimeout = client, 5*time.Second })
	for name, c := range map[string]struct {
		q    *sessionv2.GetSessionRequest
		want codes.Code
	}{
		"no ID":       {&sessionv2.GetSessionRequest{}, codes.InvalidArgument},
		"no such ID":  {&sessionv2.GetSessionRequest{SessionId: "../sessions/1"}, codes.NotFound},
		"empty token": {&sessionv2.GetSessionRequest{SessionId: "1", SessionToken: proto.String("")}, codes.InvalidArgument},
	} {
		if err := f.call("nobody", "GetSession", c.q, &sessionv2.GetSessionResponse{}); status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if n := z.Count(zitadeltest.Any); n > 0 {
		t.Errorf("%d calls were handed on", n)
	}
}

// Health and reflection are there.
func TestGRPC_HealthAndReflection(t *testing.T) {
	t.Parallel()
	f := start(t)
	healthy := new(healthpb.HealthCheckResponse)
	if err := f.conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", new(healthpb.HealthCheckRequest), healthy); err != nil || healthy.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", healthy, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(f.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "zitadel.session.v2.SessionService"}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil || len(answer.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("%v, %v", answer, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
