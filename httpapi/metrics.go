package httpapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests. Its labels are route patterns and statuses, never
// anything that a caller sends. A nil *metrics counts nothing.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// noRoute labels requests that have no route.
const noRoute = "none"

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_http_requests_total",
			Help: "Requests answered, by route and HTTP status.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cloakroom_http_request_duration_seconds",
			Help:    "Time from a request's last header to its answer, by route.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"route"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// routeMetrics counts the requests of one route. It looks up only once what
// most of them need. A nil *routeMetrics counts nothing.
type routeMetrics struct {
	all      *metrics
	route    string
	ok       func() prometheus.Counter
	duration func() prometheus.Observer
}

// of returns the metrics of a route.
func (m *metrics) of(route string) *routeMetrics {
	if m == nil {
		return nil
	}
	return &routeMetrics{
		all: m, route: route,
		ok: sync.OnceValue(func() prometheus.Counter {
			return m.requests.WithLabelValues(route, strconv.Itoa(http.StatusOK))
		}),
		duration: sync.OnceValue(func() prometheus.Observer { return m.duration.WithLabelValues(route) }),
	}
}

// answered counts a request.
func (m *routeMetrics) answered(status int, took time.Duration) {
	if m == nil {
		return
	}
	if status == http.StatusOK {
		m.ok().Inc()
	} else {
		m.all.requests.WithLabelValues(m.route, strconv.Itoa(status)).Inc()
	}
	m.duration().Observe(took.Seconds())
}

// refused counts what never became a request.
func (m *metrics) refused(status int) {
	if m != nil {
		m.requests.WithLabelValues(noRoute, strconv.Itoa(status)).Inc()
	}
}
