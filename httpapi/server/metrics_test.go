package server

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/prometheus/client_golang/prometheus"
)

// Statuses other than 200 are counted as well, and several listeners count together.
func TestMetricsOfARoute(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	listeners := []*RouteMetrics{m.Of("GET /a", "http"), m.Of("GET /a", "http"), m.Of("GET /a", "grpc"), (*Metrics)(nil).Of("GET /a", "http")}
	for _, status := range []int{http.StatusOK, http.StatusNotModified, http.StatusOK, 599} {
		for _, l := range listeners {
			l.Answered(status, time.Second)
		}
	}
	if got, want := observed.Counts(t, registry), map[string]float64{
		"cloakroom_http_requests_total 200 http GET /a":       4,
		"cloakroom_http_requests_total 304 http GET /a":       2,
		"cloakroom_http_requests_total 599 http GET /a":       2,
		"cloakroom_http_requests_total 200 grpc GET /a":       2,
		"cloakroom_http_requests_total 304 grpc GET /a":       1,
		"cloakroom_http_requests_total 599 grpc GET /a":       1,
		"cloakroom_http_request_duration_seconds http GET /a": 8,
		"cloakroom_http_request_duration_seconds grpc GET /a": 4,
	}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
