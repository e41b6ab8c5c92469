package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/console/live"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/metrics"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/prometheus/client_golang/prometheus"
)

// sidecar is the program as cmd puts it together, on a real Redis.
type sidecar struct {
	*live.Live
	t       testing.TB
	store   *cache.Store
	url     string
	metrics *collected
}

// collected keeps what is registered.
type collected struct {
	*prometheus.Registry
	all []prometheus.Collector
}

// Register implements prometheus.Registerer.
func (c *collected) Register(one prometheus.Collector) error {
	c.all = append(c.all, one)
	return c.Registry.Register(one)
}

// busy counts requests to 60 routes with three statuses each.
func (s *sidecar) busy() {
	for _, c := range s.metrics.all {
		for i := range 60 {
			route, protocol := fmt.Sprintf("POST /v2/sessions/part%d/search", i), []string{"http", "grpc"}[i%2]
			switch c := c.(type) {
			case *prometheus.CounterVec:
				for _, code := range []string{"200", "401", "503"} {
					if m, err := c.GetMetricWithLabelValues(route, code, protocol); err == nil {
						m.Inc()
					}
				}
			case *prometheus.HistogramVec:
				if m, err := c.GetMetricWithLabelValues(route, protocol); err == nil {
					m.Observe(0.001)
				}
			}
		}
	}
}

func start(t testing.TB, redis *redistest.Server) *sidecar {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	registry, all, breakers, ready := &collected{Registry: metrics.NewRegistry()}, parts.New(), breaker.New(log), readiness.New()
	t.Cleanup(func() { must(all.Stop()) })
	trips := metrics.NewRedis(registry)
	metrics.RegisterBuild(registry, "v1.2", "abc")
	u, _ := redisconn.ParseURL(redis.URL())
	b, err := redisconn.Connect(t.Context(), &redisconn.Connection{URL: &u, Access: &redisconn.Access{}, Staleness: time.Second, Breakers: breakers, Watch: trips.Watch, Parts: all, Log: log})
	must(err)
	metrics.RegisterMaster(registry, b.Master)
	store, err := cache.Open(t.Context(), cache.Config{Redis: b.Client, Searches: b.Searches, Costly: b.Costly, NearBytes: 16 << 20, Logger: log})
	must(err)
	all.OnStop("store", store.Close)
	metrics.RegisterStore(registry, store)
	metrics.RegisterBreakers(registry, breakers)
	all.Start("run", store.Run)
	api, err := httpapi.New(httpapi.Config{Store: store, Anonymous: true, Logger: log, Metrics: registry})
	must(err)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(err)
	all.Start("api", func(ctx context.Context) error { return api.Run(ctx, ln, time.Second) })
	breakers.Arm()
	rights, err := readiness.NewRights(b.Client, "", "", func() acl.When { return acl.Near }, log)
	must(err)
	evicts := readiness.NewEviction(b.Client, log)
	rights.Look(t.Context())
	evicts.Look(t.Context())
	ready.Yes(readiness.State{Store: store, Master: b.Master, Breakers: breakers, Eviction: evicts, Rights: rights, Files: func() (string, bool) { return "in use as they are", true }})
	l := live.New(live.Config{Gatherer: registry, Health: ready.Health, Lasts: httpapi.Lasts, Store: func() live.Store { return ready.Store() }, Bound: time.Second, Logger: log})
	eventually.Holds(t, "the near cache is usable", func() bool { s := store.NearStats(); return s.Linked && s.ProofAge >= 0 })
	return &sidecar{l, t, store, "http://" + ln.Addr().String(), registry}
}

// ask sends a request, and returns the answer if it has that status.
func (s *sidecar) ask(status int, method, path, body string, headers ...string) (answer struct{ SessionID, SessionToken string }) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if closed := res.Body.Close(); err != nil || closed != nil || res.StatusCode != status {
		s.t.Fatalf("%s %s: %d %s (%v, %v)", method, path, res.StatusCode, text, err, closed)
	}
	if len(text) > 0 {
		_ = json.Unmarshal(text, &answer)
	}
	return answer
}

func (s *sidecar) sample() {
	s.t.Helper()
	if err := s.Sample(); err != nil {
		s.t.Fatal(err)
	}
}

// shown is what a page reads of an answer here.
type shown struct {
	Series map[string][]*float64
	Latest struct {
		Routes []struct {
			Route, Protocol string
			Totals          map[string]string
			P50             *float64
		}
		Refusals []struct{ Reason, Total string }
		Near     struct {
			On           bool
			State        string
			BoundSeconds float64
			Masters      []struct {
				Address                     string
				Linked                      bool
				ProofAgeSeconds, LagSeconds *float64
			}
			Kinds []struct{ Kind string }
		}
		Redis struct {
			Away   bool
			Errors []struct{ Class string }
			Pool   struct{ Idle int }
		}
		Sessions struct {
			Known              bool
			Live, Never, Error string
			At                 *time.Time
			Expiries           []struct {
				Within string
				Count  string
			}
		}
		Drift    struct{ Kinds []struct{ Kind string } }
		InFlight []struct {
			Class string
			Limit int
		}
		Build struct{ Version, Commit, Go string }
	}
	Health []struct{ Part, State, Do string }
}

func (s *sidecar) shown() *shown {
	s.t.Helper()
	a := new(shown)
	if err := json.Unmarshal(s.Answer(-1, true), a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// last is the newest number of a series.
func (a *shown) last(t *testing.T, name string) float64 {
	t.Helper()
	values := a.Series[name]
	if len(values) == 0 || values[len(values)-1] == nil {
		t.Errorf("%s has no value", name)
		return 0
	}
	return *values[len(values)-1]
}

// An import and a revocation take as long as their work does: a long one is no slow API. Each has its row.
func TestLive_RequestsThatLastAreNotInTheAPIsPercentiles(t *testing.T) {
	t.Parallel()
	s := start(t, redistest.Start(t))
	s.sample()
	s.ask(200, "POST", "/v2/sessions/revoke", `{"all":true}`)
	s.ask(200, "POST", "/v2/sessions/import", "")
	s.sample()
	a := s.shown()
	for _, p := range a.Series["api.p99"] {
		if p != nil {
			t.Errorf("api.p99 is %v", *p)
		}
	}
	if len(a.Latest.Routes) != 2 || a.Latest.Routes[0].P50 == nil || a.Latest.Routes[1].P50 == nil {
		t.Errorf("got %+v", a.Latest.Routes)
	}
	s.ask(200, "POST", "/v2/sessions/search", `{}`)
	s.sample()
	s.shown().last(t, "api.p99")
}

// The answer has the counts of the real program, by the names and labels of its metrics; and when its Redis is
// away, the last picture stays with the reason, until it is back.
func TestLive_OfTheRealProgram(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := start(t, redis)
	s.sample()
	created := s.ask(201, "POST", "/v2/sessions", `{"lifetime":"200s","checks":{"user":{"userId":"alice"}}}`)
	s.ask(201, "POST", "/v2/sessions", `{}`)
	s.ask(200, "POST", "/v2/sessions/search", `{}`)
	s.ask(404, "GET", "/v2/sessions/123", "")
	s.ask(404, "GET", "/nothing", "")
	s.ask(401, "GET", "/verify", "", "Authorization", "Bearer "+created.SessionToken)
	s.ask(401, "GET", "/verify", "", "Authorization", "Bearer 1.x")
	s.ask(401, "GET", "/verify", "")
	s.Look(t.Context())
	s.sample()
	a := s.shown()
	for name, want := range map[string]float64{"requests.2xx": 3, "requests.4xx": 5, "verify.refused": 3} {
		if n := a.last(t, name) * s.Elapsed(); math.Abs(n-want) > 0.05 {
			t.Errorf("%s counts %v requests, want %v", name, n, want)
		}
	}
	for _, name := range []string{"verify.p50", "api.p99", "redis.trips", "redis.commands", "redis.p50", "near.bytes", "near.proof_age", "near.lag", "sessions"} {
		if v := a.last(t, name); v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	routes := map[string]string{}
	for _, r := range a.Latest.Routes {
		for code, n := range r.Totals {
			routes[r.Route+" "+r.Protocol+" "+code] = n
		}
	}
	for name, n := range map[string]string{"POST /v2/sessions http 201": "2", "POST /v2/sessions/search http 200": "1", "/verify http 401": "3", "none http 404": "1"} {
		if routes[name] != n {
			t.Errorf("%s: %q, want %s; there is %v", name, routes[name], n, routes)
		}
	}
	reasons := []string{}
	for _, r := range a.Latest.Refusals {
		reasons = append(reasons, r.Reason+" "+r.Total)
	}
	if want := []string{"missing 1", "not_found 1", "predicate 1"}; !slices.Equal(reasons, want) {
		t.Errorf("refusals %v, want %v", reasons, want)
	}
	n := a.Latest.Near
	if !n.On || n.State != "on" || n.BoundSeconds != 1 || len(n.Kinds) != 5 || len(n.Masters) != 1 || n.Masters[0].Address != redis.Addr || !n.Masters[0].Linked || n.Masters[0].ProofAgeSeconds == nil {
		t.Errorf("near cache %+v", n)
	}
	e := a.Latest.Sessions
	if e.Live != "2" || e.Never != "1" || e.Expiries[1].Within != "5m" || e.Expiries[1].Count != "1" || e.Expiries[11].Within != "later" || e.Error != "" {
		t.Errorf("sessions %+v", e)
	}
	if f := a.Latest.InFlight; len(f) != 4 || f[0].Class != "read" || f[0].Limit != 1024 || f[3].Limit == 0 {
		t.Errorf("in flight %+v", f)
	}
	if b := a.Latest.Build; b.Version != "v1.2" || b.Commit != "abc" || !strings.HasPrefix(b.Go, "go1") {
		t.Errorf("build %+v", b)
	}
	if len(a.Latest.Drift.Kinds) < 10 || a.Latest.Redis.Pool.Idle == 0 || a.Latest.Redis.Away {
		t.Errorf("drift %+v, redis %+v", a.Latest.Drift, a.Latest.Redis)
	}
	for _, p := range a.Health {
		if p.State != "good" {
			t.Errorf("%+v", p)
		}
	}

	redis.Stop()
	eventually.Holds(t, "Redis is away", func() bool {
		s.Look(t.Context())
		s.sample()
		a = s.shown()
		return a.Latest.Redis.Away && a.Latest.Sessions.Error != "" && !a.Latest.Near.Masters[0].Linked
	})
	if now := a.Latest.Sessions; now.Live != "2" || !now.At.Equal(*e.At) || len(a.Latest.Redis.Errors) == 0 || a.Health[0].State != "bad" || a.Health[0].Do == "" {
		t.Errorf("while it is away: %+v, %+v, %+v", now, a.Latest.Redis, a.Health)
	}
	redis.Restart() // and has lost everything
	eventually.Holds(t, "Redis is back", func() bool {
		s.Look(t.Context())
		s.sample()
		a = s.shown()
		return !a.Latest.Redis.Away && a.Latest.Sessions.Error == "" && a.Latest.Sessions.Live == "0"
	})
}

// Every metric that is followed is one of those that docs/operations.md lists, which are those that the program has.
func TestLive_FollowsMetricsThatThereAre(t *testing.T) {
	text := ""
	for _, file := range []string{"operations.md", "zitadel.md"} {
		b, err := os.ReadFile("../../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	for _, name := range live.Families() {
		if !strings.Contains(text, "`"+name) {
			t.Errorf("nobody documents %s", name)
		}
	}
}

// BenchmarkSample is the cost of a sample of the real program after requests to 60 routes with three statuses each.
func BenchmarkSample(b *testing.B) {
	s := start(b, redistest.Start(b))
	s.busy()
	b.ReportAllocs()
	for b.Loop() {
		s.sample()
	}
}

// BenchmarkAnswer is the cost of an answer that nobody has asked for since the last sample, and of what all others share.
func BenchmarkAnswer(b *testing.B) {
	s := start(b, redistest.Start(b))
	s.busy()
	for range 310 {
		s.sample()
	}
	s.Look(b.Context())
	s.sample()
	for name, f := range map[string]func(int64, bool) []byte{"plain": s.Answer, "gzip": s.AnswerGzip} {
		for _, points := range []int64{400, 1} {
			b.Run(fmt.Sprintf("%s, %d points", name, min(points, 300)), func(b *testing.B) {
				b.ReportAllocs()
				size := 0
				for b.Loop() {
					b.StopTimer()
					s.sample()
					b.StartTimer()
					size = len(f(s.Seq()-points, true))
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
	b.Run("shared", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.AnswerGzip(-1, true)
		}
	})
}
