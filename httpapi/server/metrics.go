package server

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts requests. Its labels are route patterns and statuses, never
// anything that a caller sends. A nil *Metrics counts
// nothing. It is safe for concurrent use.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NoRoute labels requests that have no route, or no protocol.
const NoRoute = "none"

// NewMetrics registers the metrics in r; without one it returns nil.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_http_requests_total",
			Help: "Requests answered, by route, HTTP status, and the protocol that is spoken.",
		}, []string{"route", "code", "protocol"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cloakroom_http_request_duration_seconds",
			Help:    "Time from a request's last header to its answer, by route and protocol.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"route", "protocol"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// RouteMetrics counts the requests of one route. It looks up only once what
// most of them need. A nil *RouteMetrics counts nothing.
type RouteMetrics struct {
	all             *Metrics
	route, protocol string

	ok       func() prometheus.Counter
	duration func() prometheus.Observer
}

// Of returns the metrics of a route and the protocol that it is spoken by, nil if m is.
func (m *Metrics) Of(route, protocol string) *RouteMetrics {
	if m == nil {
		return nil
	}
	return &RouteMetrics{
		all: m, route: route, protocol: protocol,
		ok: sync.OnceValue(func() prometheus.Counter {
			return m.requests.WithLabelValues(route, strconv.Itoa(http.StatusOK), protocol)
		}),
		duration: sync.OnceValue(func() prometheus.Observer { return m.duration.WithLabelValues(route, protocol) }),
	}
}

// Answered counts a request, and how long its answer took.
func (m *RouteMetrics) Answered(status int, took time.Duration) {
	if m == nil {
		return
	}
	if status == http.StatusOK {
		m.ok().Inc()
	} else {
		m.all.requests.WithLabelValues(m.route, strconv.Itoa(status), m.protocol).Inc()
	}
	m.duration().Observe(took.Seconds())
}

// Refused counts what never became a request.
func (m *Metrics) Refused(status int) {
	if m != nil {
		m.requests.WithLabelValues(NoRoute, strconv.Itoa(status), NoRoute).Inc()
	}
}
