package httpapi

import (
	"slices"
	"testing"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// The session ID that a handler gets is a copy: the next request on the
// connection does not write over it.
func TestI8_PathIDIsACopy(t *testing.T) {
	var kept []string
	r := router.New()
	r.GET("/v2/sessions/{id}", func(http *fasthttp.RequestCtx) { kept = append(kept, pathID(http)) })
	var ctx fasthttp.RequestCtx
	want := []string{"aaaaaaaa", "%zzzzzzz", "b:bbbbbb", "cccccccc"}
	for _, path := range []string{"aaaaaaaa", "%zzzzzzz", "b%3Abbbbbb", "cccccccc"} {
		ctx.Request.Reset()
		ctx.Request.SetRequestURI("/v2/sessions/" + path)
		r.Handler(&ctx)
	}
	if !slices.Equal(kept, want) {
		t.Errorf("got %q, want %q", kept, want)
	}
}
