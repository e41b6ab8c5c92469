package rpc

import (
	"maps"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// A CheckRequest is read as Envoy's own messages are, whatever its bytes are.
func FuzzReadCheck(f *testing.F) {
	add := func(http *authv3.AttributeContext_HttpRequest) {
		m := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: http}, ContextExtensions: map[string]string{"policy": "strict", "other": "x"},
		}}
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, b...))
	}
	add(&authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": "Bearer a", "cookie": "b=c"}, Path: "/p", Method: "GET"})
	add(&authv3.AttributeContext_HttpRequest{HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "authorization", RawValue: []byte("Bearer \xff")}, {Key: "authorization", Value: "Bearer b"}, {Key: "x", Value: "y", RawValue: []byte("z")},
	}}})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readCheck(data)
		m := new(authv3.CheckRequest)
		if theirs := proto.Unmarshal(data, m); theirs != nil {
			return // it may be text that is not UTF-8, which decides nothing here
		}
		if err != nil {
			t.Fatalf("%v is refused: %v", m, err)
		}
		http := m.GetAttributes().GetRequest().GetHttp()
		if policy := m.GetAttributes().GetContextExtensions()[policyKey]; got.policy != policy {
			t.Errorf("%v: the policy %q", m, got.policy)
		}
		raw := http.GetHeaderMap().GetHeaders()
		if got.joined != (len(raw) == 0) {
			t.Fatalf("%v: joined %v", m, got.joined)
		}
		if got.joined {
			headers := map[string]string{}
			for _, h := range got.headers {
				headers[string(h.name)] = string(h.value)
			}
			if !maps.Equal(headers, http.GetHeaders()) {
				t.Errorf("%v: got %q", m, headers)
			}
			return
		}
		if len(raw) != len(got.headers) {
			t.Fatalf("%v: %d headers", m, len(got.headers))
		}
		for i, h := range raw {
			value := h.GetRawValue()
			if len(value) == 0 {
				value = []byte(h.GetValue())
			}
			if string(got.headers[i].name) != h.GetKey() || string(got.headers[i].value) != string(value) {
				t.Errorf("%v: header %d is %q", m, i, got.headers[i])
			}
		}
	})
}
