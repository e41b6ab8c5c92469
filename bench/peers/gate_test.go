package peers

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/testserver"
	"github.com/valyala/fasthttp"
)

func TestGates_SayWhoseTokenItIs(t *testing.T) {
	const tokens = 10
	dir := testserver.Issuer(t, tokens)
	i, err := issuer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	live, err := issuer.ReadTokens(dir, "ES256", issuer.Live, 0)
	if err != nil {
		t.Fatal(err)
	}
	old, err := i.AccessToken("ES256", 3, time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Gates() {
		gate, err := OpenGate(name, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer gate.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 2 { // the second time it may be known
			for k := range tokens {
				token, n := live.At(k)
				c, err := gate.Verify(ctx, token)
				if err != nil || c.Subject != issuer.User(n) || c.SessionID != issuer.Session(n) {
					t.Fatalf("%s: token %d: %+v, %v", name, n, c, err)
				}
			}
			token, _ := live.At(0)
			forged := append([]byte(nil), token...)
			forged[len(forged)/2] ^= 1
			for _, bad := range [][]byte{forged, []byte(old), token[:len(token)-4], {}} {
				if c, err := gate.Verify(ctx, bad); !errors.Is(err, ErrRefused) {
					t.Errorf("%s: a token that is not good: %+v, %v", name, c, err)
				}
			}
		}
		answersAsMany(t, gate, live)
	}
	if _, err := OpenGate("other", dir); err == nil {
		t.Error("there is a gate named other")
	}
	if _, err := OpenGate("jwt-plain", t.TempDir()); err == nil {
		t.Error("an issuer is opened that is not there")
	}
	if Answers("introspection", "verify-jwt-cold") || !Answers("jwt-plain", "verify-jwt-cold") || Answers("other", "verify-jwt") {
		t.Error("gates answer other scenarios")
	}
}

// answersAsMany checks that a gate's answers have as many bytes as those of a bare server, and say whose token it was.
func answersAsMany(t *testing.T, gate Gate, live *issuer.Tokens) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Server{Gate: gate, Pad: []byte(strings.Repeat("x", 950)), WriteBuffer: 8192}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener) }()
	var client fasthttp.Client
	ask := func(path, token string) (*fasthttp.Response, int) {
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		request.SetRequestURI("http://" + listener.Addr().String() + path)
		request.Header.Set("Authorization", "Bearer "+token)
		if err := client.Do(request, response); err != nil {
			t.Fatal(err)
		}
		return response, len(response.Header.String()) + len(response.Body())
	}
	token, n := live.At(1)
	response, size := ask("/verify", string(token))
	var body struct {
		Active  bool
		Subject string
		Extra   struct{ Factors []string }
	}
	if err := json.Unmarshal(response.Body(), &body); err != nil || !body.Active || body.Subject != "bench:"+issuer.User(n) || len(body.Extra.Factors) != 2 {
		t.Errorf("%s, %v", response.Body(), err)
	}
	if got := string(response.Header.Peek("X-Session-Id")); got != "bench:"+issuer.Session(n) {
		t.Errorf("X-Session-Id %s", got)
	}
	if _, bare := ask("/version", ""); size != bare {
		t.Errorf("an answer of %d bytes; a bare one has %d", size, bare)
	}
	if response, _ := ask("/verify", "x"); response.StatusCode() != fasthttp.StatusUnauthorized {
		t.Errorf("a token that is not good: status %d", response.StatusCode())
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
