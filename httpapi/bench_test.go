package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/fasthttp/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// anybody may do everything.
var anybody = &caller.Caller{
	Name: "anybody", UserID: "anybody",
	Read: caller.Grant{All: true}, Write: caller.Grant{All: true}, Delete: caller.Grant{All: true},
}

// newTestCall is a call without a server.
func newTestCall(body []byte) *call {
	http := new(fasthttp.RequestCtx)
	http.Init2(nil, nil, false) // keeps its buffers, as a connection does
	return &call{http: http, route: &route{}, caller: anybody, body: body}
}

var benchBodies = map[string]string{
	"empty": `{}`,
	"user":  `{"query":{"limit":5},"queries":[{"userIdQuery":{"id":"178204173316174381"}}],"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE"}`,
	"user+date": `{"query":{"limit":5},"queries":[{"userIdQuery":{"id":"178204173316174381"}},` +
		`{"creationDateQuery":{"creationDate":"2023-05-04T08:38:50.123456Z","method":"TIMESTAMP_QUERY_METHOD_GREATER"}}]}`,
	"all": `{"query":{"offset":"0","limit":100,"asc":true},"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE","queries":[{"idsQuery":{"ids":["218480890961985793","218480890961985794"]}},` +
		`{"userIdQuery":{"id":"178204173316174381"}},{"creatorQuery":{"id":"login-ui"}},{"userAgentQuery":{"fingerprintId":"fp"}},` +
		`{"creationDateQuery":{"creationDate":"2023-05-04T08:38:50.123456Z","method":"TIMESTAMP_QUERY_METHOD_GREATER"}},` +
		`{"expirationDateQuery":{"expirationDate":"2023-05-04T08:38:50Z","method":"TIMESTAMP_QUERY_METHOD_LESS"}}]}`,
}

func BenchmarkDecodeList(b *testing.B) {
	for name, body := range benchBodies {
		b.Run(name, func(b *testing.B) {
			c := newTestCall([]byte(body))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeList(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeCreate(b *testing.B) {
	body := `{"checks":{"user":{"userId":"178204173316174381"}},"metadata":{"cart":"NDI="},"userAgent":{"fingerprintId":"fp","ip":"192.0.2.7"},"lifetime":"18000s"}`
	c := newTestCall([]byte(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeCreate(c); err != nil {
			b.Fatal(err)
		}
	}
}

// benchPage is a page of n sessions of 829 bytes and a little more each.
func benchPage(n int) *index.Page {
	p := &index.Page{Total: uint64(n), At: 1}
	fill := strings.Repeat("x", 700)
	for i := range n {
		s := session.Session{ID: session.ID(fmt.Sprint(218480890961985793 + i)), Sequence: 3, Metadata: map[string][]byte{"k": []byte(fill)}, ExpirationDate: session.Never}
		p.Sessions = append(p.Sessions, &session.Stored{Facts: s.Facts(), Doc: session.AppendJSON(nil, &s)})
	}
	return p
}

func BenchmarkAssemblePage(b *testing.B) {
	for _, n := range []int{0, 5, 100, 1000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			page := benchPage(n)
			c := newTestCall(nil)
			b.ReportAllocs()
			for b.Loop() {
				c.http.Response.ResetBody()
				c.writePage(page, "")
				_ = c.end(200)
			}
			b.SetBytes(int64(len(c.http.Response.Body())))
		})
	}
}

// BenchmarkRequest is all that a request costs here, without the network and
// with a store that has its answer at hand.
func BenchmarkRequest(b *testing.B) {
	f := newFixture(b, func(s *setup) { s.config.Metrics = prometheus.NewRegistry() })
	stored, page := benchPage(1).Sessions[0], benchPage(5)
	for _, r := range []struct {
		route
		uri, body string
	}{
		{uri: "/bench", route: route{method: "GET", path: "/bench", call: "Version", open: true, do: (*Server).version}},
		{uri: "/v9/sessions/218480890961985793", route: route{
			method: "GET", path: "/v9/sessions/{id}", call: "Get",
			do: answer(decodeGet, func(_ *Server, _ context.Context, c *call, token string) error {
				if _, err := session.ParseID(c.id); err != nil {
					return err
				}
				return c.writeSession(stored, token)
			}),
		}},
		{uri: "/v9/sessions/search", body: benchBodies["user+date"], route: route{
			method: "POST", path: "/v9/sessions/search", call: "List",
			do: answer(decodeList, func(_ *Server, _ context.Context, c *call, _ *request.List) error {
				c.writePage(page, "")
				return c.end(200)
			}),
		}},
	} {
		b.Run(r.call, func(b *testing.B) {
			routed := router.New()
			routed.Handle(r.method, r.path, f.server.handle(context.Background(), &r.route, face{}))
			ctx := newTestCall(nil).http
			raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", r.method, r.uri, f.secret["admin"], len(r.body))
			if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
				b.Fatal(err)
			}
			body := strings.NewReader(r.body)
			b.ReportAllocs()
			for b.Loop() {
				if r.body != "" {
					body.Reset(r.body)
					ctx.Request.SetBodyStream(body, len(r.body))
				}
				ctx.Response.Reset()
				ctx.ResetUserValues()
				routed.Handler(ctx)
			}
			if ctx.Response.StatusCode() != 200 {
				b.Fatalf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
			}
		})
	}
}

// BenchmarkSearchByUser is a search with five results, with Redis, but without
// the network before the server.
func BenchmarkSearchByUser(b *testing.B) {
	f := newFixture(b)
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, `{"id":"s%d","factors":{"user":{"id":"u%d"},"password":{}}}`+"\n", i, i%200)
	}
	f.want(200, "admin", "POST", "/v2/sessions/import", lines.String())
	h := f.server.router(context.Background(), face{})
	body := []byte(`{"queries":[{"userIdQuery":{"id":"u7"}}]}`)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var ctx fasthttp.RequestCtx
		ctx.Request.SetRequestURI("/v2/sessions/search")
		ctx.Request.Header.SetMethod("POST")
		ctx.Request.Header.Set("Authorization", "Bearer "+f.secret["reader"])
		for pb.Next() {
			ctx.Request.SetBodyStream(bytes.NewReader(body), len(body))
			ctx.Response.Reset()
			if h(&ctx); ctx.Response.StatusCode() != 200 {
				b.Errorf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
				return
			}
		}
	})
}
