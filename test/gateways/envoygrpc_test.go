package gateways

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// envoyGRPC is a double of Envoy's ext_authz filter with a gRPC service, with deploy/envoy/grpc.yaml, of which joined leaves
// encode_raw_headers out. Written from the documentation of envoy.service.auth.v3: all headers of the client come, with
// those that HTTP/2 has for method, path and host; joined with commas, where bytes that are not UTF-8 are "!", or each line
// with its bytes. Status 0 and ok_response let pass, with headers set as append_action says, and those of headers_to_remove
// gone; denied_response is the client's answer; an error of the call, or none in time, is status_on_error.
type envoyGRPC struct {
	joined bool
	bare   bool   // without header_mutation: all that removes headers is the answer
	policy string // of check_settings
}

func (e envoyGRPC) Name() string {
	if e.joined {
		return "Envoy by gRPC, headers joined"
	}
	return "Envoy by gRPC"
}

// withGRPC are all gateways, and Envoy by gRPC.
var withGRPC = append(slices.Clone(gateways), envoyGRPC{}, envoyGRPC{joined: true})

func (envoyGRPC) Status(o outcome) int { return envoy{}.Status(o) }

func (e envoyGRPC) Start(t *testing.T, check, application string) string {
	t.Helper()
	manager := at[object](t, readYAML[object](t, nil, "envoy/grpc.yaml"), "static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
	authz := at[object](t, manager, "http_filters/1/typed_config")
	if at[bool](t, authz, "failure_mode_allow") || at[string](t, authz, "status_on_error/code") != "ServiceUnavailable" || authz["allowed_headers"] != nil {
		t.Fatal("errors would pass, or be another status than 503, or some headers do not come")
	}
	if !at[bool](t, authz, "encode_raw_headers") {
		t.Fatal("headers are joined")
	}
	timeout, err := time.ParseDuration(at[string](t, authz, "grpc_service/timeout"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(check, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond}, MinConnectTimeout: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	d := &checking{envoyGRPC: e, conn: conn, timeout: timeout, double: double{application: application, client: asker(t, 0, 32)}}
	if d.clean = mutations(t, manager); e.bare {
		d.clean = func(http.Header) {}
	}
	return serve(t, d)
}

// checking is the double at work.
type checking struct {
	double
	envoyGRPC
	conn    *grpc.ClientConn
	timeout time.Duration
}

func (d *checking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.clean(r.Header)
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	r.Header.Set("X-Forwarded-For", host)
	r.Header.Set("X-Forwarded-Proto", "http")
	ctx, cancel := context.WithTimeout(r.Context(), d.timeout)
	defer cancel()
	answer := new(authv3.CheckResponse)
	err := d.conn.Invoke(ctx, "/envoy.service.auth.v3.Authorization/Check", d.question(r), answer)
	switch {
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
	case answer.GetStatus().GetCode() == 0 && answer.GetOkResponse() != nil:
		for _, h := range answer.GetOkResponse().GetHeaders() {
			name, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
			switch {
			case h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
				r.Header.Add(name, value)
			case value == "" && !h.GetKeepEmptyValue():
				r.Header.Del(name)
			default:
				r.Header.Set(name, value)
			}
		}
		removed := answer.GetOkResponse().GetHeadersToRemove()
		deleteMatching(r.Header, func(name string) bool { return slices.Contains(removed, name) })
		d.pass(w, r)
	default:
		denied := answer.GetDeniedResponse()
		for _, h := range denied.GetHeaders() {
			w.Header().Set(h.GetHeader().GetKey(), h.GetHeader().GetValue())
		}
		w.WriteHeader(int(denied.GetStatus().GetCode()))
		_, _ = w.Write([]byte(denied.GetBody()))
	}
}

// question returns what Envoy asks about r.
func (d *checking) question(r *http.Request) *authv3.CheckRequest {
	client := &authv3.AttributeContext_HttpRequest{Method: r.Method, Path: r.RequestURI, Host: r.Host, Protocol: "HTTP/1.1", Size: r.ContentLength}
	lines := maps.Clone(r.Header)
	lines[":authority"], lines[":method"], lines[":path"], lines[":scheme"] = []string{r.Host}, []string{r.Method}, []string{r.RequestURI}, []string{"http"}
	if d.joined {
		client.Headers = map[string]string{}
	} else {
		client.HeaderMap = new(corev3.HeaderMap)
	}
	for name, values := range lines {
		name = strings.ToLower(name)
		if d.joined {
			client.Headers[name] = marked(strings.Join(values, ","))
			continue
		}
		for _, v := range values {
			client.HeaderMap.Headers = append(client.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(v)})
		}
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: client}, ContextExtensions: map[string]string{"policy": d.policy},
	}}
}

// marked returns a text with "!" for each byte that is not UTF-8.
func marked(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError {
			return '!'
		}
		return r
	}, s)
}

// Without anything before it that removes headers, Check has Envoy remove each that an
// application could take for one of verify's, in every spelling.
func TestSpoofing_CheckRemovesSpellings(t *testing.T) {
	for _, joined := range []bool{false, true} {
		t.Run(envoyGRPC{joined: joined}.Name(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, envoyGRPC{joined: joined, bare: true})
			v := w.ours.login(t, "spoof")
			for _, s := range spellings {
				if got := w.spoofs(t, v, s, identityNames); got != "dropped" {
					t.Errorf("%s in the place of a hyphen: %s", s.name, got)
				}
			}
		})
	}
}

// The policy that the route's check_settings name holds, whatever the path is.
func TestEnvoyGRPC_Policy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, envoyGRPC{policy: "strict"})
	lax, strict := w.ours.login(t, "lax"), w.ours.login(t, "strict", func(session map[string]any) {
		factors := session["factors"].(map[string]any)
		factors["webAuthN"] = map[string]any{"verifiedAt": factors["password"].(map[string]any)["verifiedAt"], "userVerified": true}
	})
	strict.factors("password,webAuthN")
	for _, target := range lenient {
		w.refuses(t, request{target: target}.by(lax))
		w.passes(t, request{target: target}.by(strict), strict)
	}
}
