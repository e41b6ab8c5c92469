package peers

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/valyala/fasthttp"
)

// fake finds two sessions of user 1, and none of others.
type fake struct{ Peer }

func (fake) Search(_ context.Context, user string, since time.Time) (Found, error) {
	if user != "1" || !since.Equal(data.Newest) {
		return Found{}, errors.New("another question")
	}
	return Found{Total: 7, Sessions: []string{`{"id":"a"}`, `{"id":"b"}`}}, nil
}

func (fake) Get(_ context.Context, id string) (string, error) {
	if id != "a" {
		return "", ErrNotFound
	}
	return `{"id":"a"}`, nil
}

func TestServer_AnswersAsManyBytes(t *testing.T) {
	const search = `{"queries":[{"userIdQuery":{"id":"1"}},{"creationDateQuery":{"creationDate":"2026-11-01T12:00:00.000123Z"}}]}`
	f := func(pad int, method, path, body string, wantStatus int, want string) {
		t.Helper()
		s := Server{Peer: fake{}, Pad: []byte(strings.Repeat("x", pad)), WriteBuffer: 4096}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, listener) }()
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		request.SetRequestURI("http://" + listener.Addr().String() + path)
		request.Header.SetMethod(method)
		request.SetBodyString(body)
		var client fasthttp.Client
		err = client.Do(request, response)
		client.CloseIdleConnections()
		cancel()
		if err := errors.Join(err, <-served); err != nil {
			t.Fatal(err)
		}
		if got := string(response.Body()); response.StatusCode() != wantStatus || wantStatus == 200 && got != want || !strings.Contains(got, want) {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, response.StatusCode(), got, wantStatus, want)
		}
	}
	const found = `{"details":{"totalResult":"7"},"sessions":[{"id":"a"},{"id":"b"}]}`
	f(len(found)+2, "POST", scenario.SearchPath, search, 200, found+"  ")
	f(len(found)-2, "POST", scenario.SearchPath, search, 200, found[:len(found)-2])
	f(30, "GET", scenario.SessionPath+"a", "", 200, `{"session":{"id":"a"}}        `)
	f(30, "GET", scenario.SessionPath+"b", "", 404, "not found")
	f(30, "POST", scenario.SearchPath, "{}", 503, "not a search")
	f(4, "GET", "/version", "", 200, "xxxx")
	f(4, "POST", scenario.SessionPath, "{}", 200, "xxxx")
}
