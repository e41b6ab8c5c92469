package httpapi

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// jwtRequest is a verify of a JWT of 1.2 KB that is known, whose ends are copies.
func jwtRequest(t testing.TB) func() {
	f := newJWTFixture(t, "", func(s *setup) {
		withEndCopies(s)
		s.store.NearStaleness = time.Minute
		s.config.Verify.Claims = nil
	})
	token := f.token(map[string]any{"roles": strings.Repeat("x", 450)})
	f.good(token)
	f.good(token)
	return f.verifyOf(token)
}

// verifyOf is a verify of a token without a connection. It has to pass.
func (f *fixture) verifyOf(token string) func() {
	f.t.Helper()
	handle := f.server.verify.Before(context.Background(), f.server.router(context.Background(), face{}))
	ctx := new(fasthttp.RequestCtx)
	ctx.Init2(nil, nil, false)
	raw := "GET /verify HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		f.t.Fatal(err)
	}
	return func() {
		ctx.Response.Reset()
		handle(ctx)
		if ctx.Response.StatusCode() != http.StatusOK {
			f.t.Fatalf("%s", ctx.Response.Body())
		}
	}
}

func BenchmarkNearHit_JWT(b *testing.B) {
	request := jwtRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		request()
	}
}

func TestJWT_Allocations(t *testing.T) {
	request := jwtRequest(t)
	if got := testing.AllocsPerRun(1000, request); got > 0 && !raceEnabled {
		t.Errorf("it allocates %v times, want 0", got)
	}
}
