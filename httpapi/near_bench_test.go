package httpapi

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// nearRequests are a Get, a search for five sessions and a verify that the near
// cache answers, through the real routes.
func nearRequests(f *fixture) map[string]func() {
	for k := range 5 {
		body := fmt.Sprintf(`{"creationDate":"2050-01-01T00:00:0%dZ","factors":{"user":{"id":"178204173316174381"}},"metadata":{"k":"%s"}}`, k, strings.Repeat("eHh4", 170))
		f.want(http.StatusCreated, "admin", "PUT", fmt.Sprintf("/v2/sessions/21848089096198579%d", k), body)
	}
	token := "218480890961985795." + strings.Repeat("k", 43)
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/218480890961985795", fmt.Sprintf(`{"factors":{"user":{"id":"178204173316174382","loginName":"user5@nordwind.example",`+
		`"displayName":"User Number 5","organizationId":"281739955209961483"},"password":{},"totp":{}},"metadata":{"k":"%s"},"expirationDate":"2050-02-01T00:00:00Z","tokenSha256":"%x"}`, strings.Repeat("eHh4", 170), sha256.Sum256([]byte(token))))
	handle := f.server.verify.Before(context.Background(), f.server.router(context.Background(), face{}))
	search := strings.Replace(benchBodies["user+date"], `"limit":5`, `"limit":100`, 1)
	const service, get = "/zitadel.session.v2.SessionService/", `{"sessionId":"218480890961985790"}`
	const connect = "Content-Type: application/json\r\nConnect-Protocol-Version: 1\r\n"
	requests := map[string]func(){}
	for name, r := range map[string]struct{ secret, method, uri, body, headers string }{
		"Get":                         {f.secret["admin"], "GET", "/v2/sessions/218480890961985790", "", ""},
		"Search":                      {f.secret["admin"], "POST", "/v2/sessions/search", search, ""},
		"Verify":                      {token, "GET", "/verify", "", ""},
		"Connect Get":                 {f.secret["admin"], "POST", service + "GetSession", get, connect},
		"Connect Get with a deadline": {f.secret["admin"], "POST", service + "GetSession", get, connect + "Connect-Timeout-Ms: 900\r\n"},
		"Connect Search":              {f.secret["admin"], "POST", service + "ListSessions", search, connect},
	} {
		ctx := new(fasthttp.RequestCtx)
		ctx.Init2(nil, nil, false)
		raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n%s\r\n", r.method, r.uri, r.secret, len(r.body), r.headers)
		if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
			f.t.Fatal(err)
		}
		body := strings.NewReader(r.body)
		requests[name] = func() {
			if r.body != "" {
				body.Reset(r.body)
				ctx.Request.SetBodyStream(body, len(r.body))
			}
			ctx.Response.Reset()
			handle(ctx)
			if ctx.Response.StatusCode() != http.StatusOK {
				f.t.Fatalf("%s: %s", name, ctx.Response.Body())
			}
		}
		requests[name]()
	}
	return requests
}

// startNear runs the store until the near cache is in use.
func startNear(f *fixture, hit func()) {
	f.runStore()
	for begin := time.Now(); f.store.NearStats().Lists.Hits == 0; hit() {
		if time.Since(begin) > 20*time.Second {
			f.t.Fatalf("the near cache is not used: %s", f.store.NearStats().State)
		}
	}
}

// runStore runs the store until the test ends.
func (f *fixture) runStore() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.store.Run(ctx) }()
	f.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
	})
}

func withNear(s *setup) { s.store.NearBytes, s.store.NearStaleness = 1<<20, time.Minute }

func BenchmarkNearHit(b *testing.B) {
	f := newFixture(b, withNear)
	requests := nearRequests(f)
	startNear(f, requests["Search"])
	for name, request := range requests {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request()
			}
		})
	}
}

// What a request allocates is a promise; what it takes is not.
func TestNearHit_Allocations(t *testing.T) {
	f := newFixture(t, withNear)
	requests := nearRequests(f)
	startNear(f, requests["Search"])
	for name, most := range map[string]float64{"Get": 4, "Search": 10, "Verify": 1} {
		if got := testing.AllocsPerRun(1000, requests[name]); got > most && !raceEnabled {
			t.Errorf("%s allocates %v times, want %v at most", name, got, most)
		}
	}
}
