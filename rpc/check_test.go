package rpc_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/assertion"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/rpc"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// check asks as Envoy does that has a client's headers: lines of one name joined by
// commas, or with encode_raw_headers as they are.
func (f *fixture) check(raw bool, policy string, headers ...string) (*authv3.CheckResponse, error) {
	client := new(authv3.AttributeContext_HttpRequest)
	if raw {
		client.HeaderMap = new(corev3.HeaderMap)
	} else {
		client.Headers = map[string]string{}
	}
	for i := 0; i < len(headers); i += 2 {
		name, value := headers[i], headers[i+1]
		if raw {
			client.HeaderMap.Headers = append(client.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		} else if before, has := client.Headers[name]; has {
			client.Headers[name] = before + "," + value
		} else {
			client.Headers[name] = value
		}
	}
	request := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: client}}}
	if policy != "" {
		request.Attributes.ContextExtensions = map[string]string{"policy": policy}
	}
	answer := new(authv3.CheckResponse)
	return answer, f.conn.Invoke(f.t.Context(), "/envoy.service.auth.v3.Authorization/Check", request, answer)
}

// stored is a session that proves something, and its token.
func (f *fixture) stored() (token string) {
	token, hash := session.NewToken("s1")
	s := &session.Session{ID: "s1", CreationDate: 1, ChangeDate: 1, Sequence: 1, ExpirationDate: session.Never, Creator: "c", Token: hash}
	s.Factors.User = &session.UserFactor{VerifiedAt: 1, ID: "u1", LoginName: "Zoë"}
	s.Factors.Password = &session.Factor{VerifiedAt: 1}
	if err := f.store.Put(context.Background(), s, nil); err != nil {
		f.t.Fatal(err)
	}
	return token
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, services := range checkListeners {
		t.Run(name, func(t *testing.T) { checks(t, start(t, func(s *setup) { s.rpc.Services = services })) })
	}
}

// checkListeners are the two kinds of listener that have Check.
var checkListeners = map[string]rpc.Services{"alone": {Check: true}, "beside the API": {API: true, Check: true}}

func checks(t *testing.T, f *fixture) {
	token := f.stored()
	for _, raw := range []bool{false, true} {
		answer, err := f.check(raw, "", "authorization", "Bearer "+token, "x-session-user", "root", "x.session.user", "root", "x_session_user", "root", "x-session-stale", "1s", "x-session-assertion", "a", "x_session.assertion", "a", "accept", "*/*", ":path", "/")
		if err != nil {
			t.Fatal(err)
		}
		ok := answer.GetOkResponse()
		if answer.GetStatus().GetCode() != 0 || ok == nil {
			t.Fatalf("raw %v: %v", raw, answer)
		}
		got := map[string]string{}
		for _, h := range ok.GetHeaders() {
			got[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
			if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD || !h.GetKeepEmptyValue() {
				t.Errorf("raw %v: %v", raw, h)
			}
		}
		if got["x-session-user"] != "u1" || got["x-session-id"] != "s1" || got["x-session-login"] != "Zo%C3%AB" || got["x-session-factors"] != "password" || len(got) != 7 {
			t.Errorf("raw %v: headers %v", raw, got)
		}
		slices.Sort(ok.HeadersToRemove)
		if want := []string{"x-session-assertion", "x-session-stale", "x.session.user", "x_session.assertion", "x_session_user"}; !slices.Equal(ok.GetHeadersToRemove(), want) {
			t.Errorf("raw %v: removed %q, want %q", raw, ok.GetHeadersToRemove(), want)
		}
		if user := answer.GetDynamicMetadata().GetFields()["subject"].GetStringValue(); user != "u1" {
			t.Errorf("raw %v: metadata %v", raw, answer.GetDynamicMetadata())
		}

		for name, c := range map[string]struct {
			status  int
			reason  string
			policy  string
			headers []string
		}{
			"no credential":                   {http.StatusUnauthorized, "missing", "", []string{"accept", "*/*"}},
			"an unknown token":                {http.StatusUnauthorized, "not_found", "", []string{"authorization", "Bearer s2." + token[3:]}},
			"two tokens":                      {http.StatusUnauthorized, "malformed", "", []string{"authorization", "Bearer " + token, "authorization", "Bearer other"}},
			"a token behind Basic":            {http.StatusUnauthorized, "malformed", "", []string{"authorization", "Basic eDp5", "authorization", "Bearer " + token}},
			"two headers with session tokens": {http.StatusUnauthorized, "malformed", "", []string{"x-session-token", token, "x-session-token", token}},
			"an unknown policy":               {http.StatusForbidden, "predicate", "strict", []string{"authorization", "Bearer " + token}},
		} {
			answer, err := f.check(raw, c.policy, c.headers...)
			if err != nil {
				t.Fatal(err)
			}
			denied := answer.GetDeniedResponse()
			if answer.GetStatus().GetCode() == 0 || int(denied.GetStatus().GetCode()) != c.status {
				t.Errorf("raw %v, %s: %v", raw, name, answer)
			}
			reason := ""
			for _, h := range denied.GetHeaders() {
				if h.GetHeader().GetKey() == "x-auth-reason" {
					reason = h.GetHeader().GetValue()
				}
			}
			if reason != c.reason {
				t.Errorf("raw %v, %s: the reason %q, want %q", raw, name, reason, c.reason)
			}
		}
	}
}

// With assertions each answer that lets pass has one, in the place of whatever the client has sent.
func TestCheck_Assertion(t *testing.T) {
	t.Parallel()
	keys, err := assertion.ParseKeys([]byte(testfile.SigningKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := assertion.New(assertion.Config{Audience: []string{"shop"}}, keys)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, func(s *setup) { s.api.Verify.Assertions = signer })
	token := f.stored()
	for _, raw := range []bool{false, true} {
		answer, err := f.check(raw, "", "authorization", "Bearer "+token, "x-session-assertion", "a", "x_session_assertion", "a", "xsessionassertion", "a", "x-session-assertions", "a")
		if err != nil {
			t.Fatal(err)
		}
		ok := answer.GetOkResponse()
		var got []string
		for _, h := range ok.GetHeaders() {
			if h.GetHeader().GetKey() == "x-session-assertion" {
				got = append(got, h.GetHeader().GetValue())
				if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
					t.Errorf("raw %v: %v", raw, h)
				}
			}
		}
		if len(got) != 1 || strings.Count(got[0], ".") != 2 {
			t.Errorf("raw %v: the assertions %q", raw, got)
		}
		slices.Sort(ok.HeadersToRemove)
		if want := []string{"x_session_assertion", "xsessionassertion"}; !slices.Equal(ok.GetHeadersToRemove(), want) {
			t.Errorf("raw %v: removed %q, want %q", raw, ok.GetHeadersToRemove(), want)
		}
		if answer, err = f.check(raw, "", "authorization", "Bearer x"); err != nil || answer.GetDeniedResponse() == nil {
			t.Fatalf("raw %v: %v, %v", raw, answer, err)
		}
		for _, h := range answer.GetDeniedResponse().GetHeaders() {
			if h.GetHeader().GetKey() == "x-session-assertion" {
				t.Errorf("raw %v: a refusal has an assertion", raw)
			}
		}
	}
}

// Where Redis is away there is no answer: an Envoy might read one as a denial. (I2)
func TestI2_CheckWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, services := range checkListeners {
		f := start(t, func(s *setup) { s.rpc.Services = services })
		token := f.stored()
		f.redis.Kill()
		if answer, err := f.check(false, "", "authorization", "Bearer "+token); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v, %v", name, answer, err)
		}
	}
}

// rawMessage is sent as it is.
type rawMessage struct{ data []byte }

type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	if m, ok := v.(*rawMessage); ok {
		return m.data, nil
	}
	return proto.Marshal(v.(proto.Message))
}

func (rawCodec) Unmarshal(data []byte, v any) error { return proto.Unmarshal(data, v.(proto.Message)) }

// Whatever the bytes of a CheckRequest are: nobody passes without the token, no answer is a
// bug of ours, and each is one that Envoy can read.
func TestCheck_AnyBytes(t *testing.T) {
	t.Parallel()
	for name, services := range checkListeners {
		t.Run(name, func(t *testing.T) { checksAnyBytes(t, start(t, func(s *setup) { s.rpc.Services = services })) })
	}
}

func checksAnyBytes(t *testing.T, f *fixture) {
	token := f.stored()
	good, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": "Bearer " + token, "x-session-user": "root"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	passed := 0
	for range testdepth.Of(5000, 500) {
		data := slices.Clone(good)
		for range 1 + random.IntN(3) {
			switch at := random.IntN(len(data)); random.IntN(3) {
			case 0:
				data[at] = byte(random.Uint32())
			case 1:
				data = data[:at+1]
			case 2:
				data = slices.Insert(data, at, byte(random.Uint32()))
			}
		}
		answer := new(authv3.CheckResponse)
		var err error
		for range 50 { // on a slow machine the store has not answered after 100 ms
			err = f.conn.Invoke(t.Context(), "/envoy.service.auth.v3.Authorization/Check", &rawMessage{data}, answer, grpc.ForceCodec(rawCodec{}))
			if status.Code(err) != codes.Unavailable {
				break
			}
		}
		switch code := status.Code(err); {
		case code != codes.OK && code != codes.InvalidArgument:
			t.Fatalf("%x: %v", data, err)
		case code == codes.OK && answer.GetStatus().GetCode() == 0:
			if passed++; !bytes.Contains(data, []byte(token)) || answer.GetOkResponse() == nil {
				t.Fatalf("%x: %v", data, answer)
			}
		case code == codes.OK && answer.GetDeniedResponse() == nil:
			t.Fatalf("%x: %v", data, answer)
		}
	}
	if passed == 0 {
		t.Error("none passed")
	}
}
