package live

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	redistest.Quiet()
	leaks.Verify(m)
}

// program is a double of one that is sampled: it has the metrics that the real one has, and says what a test wants.
type program struct {
	registry *prometheus.Registry
	http     *server.Metrics
	verifies *prometheus.CounterVec
	errors   *prometheus.CounterVec
	shed     *prometheus.CounterVec
	trips    *prometheus.HistogramVec
	commands prometheus.Counter
	swept    prometheus.Counter
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec

	near     near.Stats
	expiries func(context.Context) (*index.Expiries, error)
	health   func(context.Context) []readiness.Part
}

func newProgram(t rapid.TB, zitadel bool) *program {
	t.Helper()
	p := &program{
		registry: prometheus.NewRegistry(),
		verifies: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cloakroom_verify_total"}, []string{"reason"}),
		errors:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cloakroom_redis_errors_total"}, []string{"class"}),
		shed:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cloakroom_shed_total"}, []string{"class"}),
		trips:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "cloakroom_redis_round_trip_duration_seconds", Buckets: []float64{.0001, .0005, .001, .01, .1, 1}}, []string{"kind"}),
		commands: prometheus.NewCounter(prometheus.CounterOpts{Name: "cloakroom_redis_commands_total"}),
		swept:    prometheus.NewCounter(prometheus.CounterOpts{Name: "cloakroom_swept_total"}),
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cloakroom_upstream_calls_total"}, []string{"call", "result"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "cloakroom_upstream_call_seconds", Buckets: []float64{.005, .05, .5, 5}}, []string{"call"}),
		near:     near.Stats{State: "off", ProofAge: -1},
		expiries: func(context.Context) (*index.Expiries, error) { return nil, errors.New("not there") },
		health:   func(context.Context) []readiness.Part { return nil },
	}
	p.registry.MustRegister(p.verifies, p.errors, p.shed, p.trips, p.commands, p.swept)
	if zitadel {
		p.registry.MustRegister(p.calls, p.seconds)
		p.gauge("upstream_away", 0)
	}
	var err error
	if p.http, err = server.NewMetrics(p.registry); err != nil {
		t.Fatal(err)
	}
	return p
}

// gauge registers one that stays as it is.
func (p *program) gauge(name string, value float64, labels ...string) {
	with := prometheus.Labels{}
	for i := 0; i < len(labels); i += 2 {
		with[labels[i]] = labels[i+1]
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "cloakroom_" + name, ConstLabels: with})
	g.Set(value)
	p.registry.MustRegister(g)
}

func (p *program) live() *Live {
	return New(Config{
		Gatherer: p.registry, Store: func() Store { return p }, Bound: time.Second,
		Health: func(ctx context.Context) []readiness.Part { return p.health(ctx) },
	})
}

// NearStats implements Store.
func (p *program) NearStats() near.Stats { return p.near }

// Expiries implements Store.
func (p *program) Expiries(ctx context.Context) (*index.Expiries, error) { return p.expiries(ctx) }

// manyRoutes are labels of so many routes.
func manyRoutes(n int) (names []string) {
	verbs := []string{"GET", "POST", "DELETE", "PATCH", "PUT"}
	for i := range n {
		names = append(names, fmt.Sprintf("%s /v2/sessions/{id}/part%d", verbs[i%len(verbs)], i))
	}
	return names
}
