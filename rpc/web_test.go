package rpc_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/protobuf/proto"
)

const listCall = "/zitadel.session.v2.SessionService/ListSessions"

// web makes a request over HTTP/1.1 as the admin, with headers as name and value by turns.
func (f *fixture) web(method, path string, body []byte, headers ...string) (*http.Response, []byte) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+f.addr+path, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+f.secret["admin"])
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	f.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer, text
}

// listed decodes the first frame of an answer to ListSessions, and looks at the trailers.
func listed(t *testing.T, frames []byte) *sessionv2.ListSessionsResponse {
	t.Helper()
	if len(frames) < 5 || frames[0] != 0 {
		t.Fatalf("no frame: %q", frames)
	}
	length := int(frames[3])<<8 | int(frames[4])
	m := new(sessionv2.ListSessionsResponse)
	if err := proto.Unmarshal(frames[5:5+length], m); err != nil {
		t.Fatal(err)
	}
	if trailers := string(frames[5+length:]); !strings.Contains(strings.ToLower(trailers), "grpc-status: 0") {
		t.Errorf("the trailers are %q", trailers)
	}
	return m
}

// gRPC-Web is gRPC in HTTP/1.1: the trailers are a frame of the body.
func TestHTTP1_GRPCWeb(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	answer, body := f.web(http.MethodPost, listCall, make([]byte, 5), "Content-Type", "application/grpc-web+proto")
	if m := listed(t, body); answer.StatusCode != http.StatusOK || len(m.Sessions) != 1 {
		t.Errorf("%d, %v", answer.StatusCode, m)
	}
}

// Its frames may be in base64, with the format named or not.
func TestHTTP1_GRPCWebText(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	request := []byte(base64.StdEncoding.EncodeToString(make([]byte, 5)))
	for _, contentType := range []string{"application/grpc-web-text", "application/grpc-web-text+proto"} {
		answer, body := f.web(http.MethodPost, listCall, request, "Content-Type", contentType)
		frames, err := base64.StdEncoding.DecodeString(string(body))
		if err != nil || answer.Header.Get("Content-Type") != contentType {
			t.Fatalf("%s: %q, %v, %v", contentType, body, answer.Header, err)
		}
		if m := listed(t, frames); len(m.Sessions) != 1 {
			t.Errorf("%s: %v", contentType, m)
		}
	}
	for _, bad := range []string{"!", "AAAA!", "AAAAAA"} {
		answer, body := f.web(http.MethodPost, listCall, []byte(bad), "Content-Type", "application/grpc-web-text")
		frames, err := base64.StdEncoding.DecodeString(string(body))
		told := string(frames) + answer.Header.Get("Grpc-Status")
		if err != nil || answer.StatusCode != http.StatusOK || strings.Contains(told, "grpc-status: 0") || told == "" {
			t.Errorf("%q: %d, %q, %v", bad, answer.StatusCode, told, err)
		}
	}
}

// The listener speaks HTTP/1.1, too, for gRPC-Web and Connect, with GET for what reads.
func TestHTTP1_Connect(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	answer, body := f.web(http.MethodPost, listCall, nil, "Content-Type", "application/proto")
	m := new(sessionv2.ListSessionsResponse)
	if err := proto.Unmarshal(body, m); err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/proto" || len(m.Sessions) != 1 {
		t.Errorf("%d, %v, %v, %v", answer.StatusCode, answer.Header, m, err)
	}
	const get = "/zitadel.session.v2.SessionService/GetSession"
	answer, body = f.web(http.MethodGet, get+"?encoding=json&message=%7B%22sessionId%22%3A%22s1%22%7D", nil)
	if answer.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte(`{"session":{"id":"s1",`)) {
		t.Errorf("%d, %s", answer.StatusCode, body)
	}
	for call, want := range map[string]int{"CreateSession": http.StatusMethodNotAllowed, "Nothing": http.StatusNotFound} {
		if answer, body = f.web(http.MethodGet, "/zitadel.session.v2.SessionService/"+call+"?encoding=json&message=%7B%7D", nil); answer.StatusCode != want {
			t.Errorf("GET of %s: %d, %s; want %d", call, answer.StatusCode, body, want)
		}
	}
}

// Web pages of the configured origins may call and read answers, those of others may not.
func TestHTTP1_WebPages(t *testing.T) {
	t.Parallel()
	const ours = "https://app.example"
	f := start(t, func(s *setup) { s.rpc.Origins = []string{ours} })
	for origin, allowed := range map[string]bool{ours: true, "https://other.example": false, "null": false} {
		answer, _ := f.web(http.MethodOptions, listCall, nil, "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-grpc-web")
		h := answer.Header
		if got := h.Get("Access-Control-Allow-Origin") == origin && answer.StatusCode == http.StatusNoContent && strings.Contains(h.Get("Access-Control-Allow-Headers"), "X-Grpc-Web"); got != allowed {
			t.Errorf("%s may call: %v; %d, %v", origin, got, answer.StatusCode, h)
		}
		answer, _ = f.web(http.MethodPost, listCall, make([]byte, 5), "Origin", origin, "Content-Type", "application/grpc-web+proto")
		h = answer.Header
		if got := h.Get("Access-Control-Allow-Origin") == origin && strings.Contains(h.Get("Access-Control-Expose-Headers"), "Grpc-Status,"); got != allowed || h.Get("Vary") != "Origin" {
			t.Errorf("%s may read: %v; %v", origin, got, h)
		}
	}
}

// A broken frame, and a deadline that is over, get a status that says so. The next call is
// answered.
func TestHTTP1_BadFrames(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	whole := []byte{0, 0, 0, 0, 4, 1<<3 | 2, 2, 's', '1'}
	for name, c := range map[string]struct {
		frame   []byte
		timeout string
		want    string // of grpc-status
	}{
		"no frame":                   {nil, "", "12"},
		"half of a frame's head":     {whole[:3], "", "13"},
		"half of a message":          {whole[:7], "", "13"},
		"two messages":               {append(slices.Clone(whole), whole...), "", "12"},
		"compressed, and not said":   {append([]byte{1}, whole[1:]...), "", "13"},
		"a message of 4 GiB":         {[]byte{0, 255, 255, 255, 255, 1}, "", "8"},
		"a deadline that is over":    {whole, "0m", "4"},
		"a deadline that is no time": {whole, "soon", "3"},
		"whole":                      {whole, "", "0"},
	} {
		headers := []string{"Content-Type", "application/grpc-web+proto"}
		if c.timeout != "" {
			headers = append(headers, "Grpc-Timeout", c.timeout)
		}
		answer, body := f.web(http.MethodPost, "/zitadel.session.v2.SessionService/GetSession", c.frame, headers...)
		told := answer.Header.Get("Grpc-Status")
		if _, trailer, is := strings.Cut(strings.ToLower(string(body)), "grpc-status: "); is {
			told, _, _ = strings.Cut(trailer, "\r")
		}
		if answer.StatusCode != http.StatusOK || told != c.want {
			t.Errorf("%s: %d, status %s, want %s; %q", name, answer.StatusCode, told, c.want, body)
		}
	}
}

// A caller without credentials is refused, its body is not read, and the connection goes on.
func TestHTTP1_Strangers(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	for range 3 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.addr+listCall, strings.NewReader(strings.Repeat("x", 1000)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/proto")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusUnauthorized || !bytes.Contains(text, []byte("auth header missing")) {
			t.Errorf("%d, %s, %v", answer.StatusCode, text, err)
		}
		if answer, body := f.web(http.MethodPost, listCall, make([]byte, 5), "Content-Type", "application/grpc-web+proto"); answer.StatusCode != http.StatusOK || len(listed(t, body).Sessions) != 1 {
			t.Errorf("afterwards: %d, %q", answer.StatusCode, body)
		}
	}
}

// Connect with JSON explains a search as the API does, and refuses to; messages of protobuf have no member for it.
func TestConnect_ExplainsInJSON(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.stored()
	const body = `{"explain":true}`
	answer, text := f.web(http.MethodPost, listCall, []byte(body), "Content-Type", "application/json")
	if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), `"explain":{"plan":"page all sessions by rank`) {
		t.Errorf("%d, %s", answer.StatusCode, text)
	}
	answer, text = f.web(http.MethodPost, listCall, nil, "Content-Type", "application/proto")
	if answer.StatusCode != http.StatusOK || proto.Unmarshal(text, new(sessionv2.ListSessionsResponse)) != nil || strings.Contains(string(text), "explain") {
		t.Errorf("%d, %q", answer.StatusCode, text)
	}
}
