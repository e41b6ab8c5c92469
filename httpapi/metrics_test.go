package httpapi

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/prometheus/client_golang/prometheus"
)

// Requests are counted by route and status, and by nothing that a caller sends.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, func(s *setup) { s.config.Metrics = registry })
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/a", "")
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/b", "")
	f.want(http.StatusNotFound, "admin", "GET", "/nowhere/c", "")
	f.want(http.StatusNotFound, "admin", "GET", "/nowhere/d", "")
	f.raw("hello\r\n\r\n", false)
	got := observed.Counts(t, registry)
	maps.DeleteFunc(got, func(name string, _ float64) bool {
		return strings.HasPrefix(name, "cloakroom_verify_") || strings.HasPrefix(name, "cloakroom_in_flight") || strings.HasPrefix(name, "cloakroom_shed_")
	})
	if want := map[string]float64{
		"cloakroom_http_requests_total 400 none none":                        1,
		"cloakroom_http_requests_total 404 http GET /v2/sessions/{id}":       2,
		"cloakroom_http_requests_total 404 http none":                        2,
		"cloakroom_http_request_duration_seconds http GET /v2/sessions/{id}": 2,
		"cloakroom_http_request_duration_seconds http none":                  2,
	}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := New(Config{Store: f.store, Metrics: registry}); err == nil {
		t.Error("the same metrics are registered twice")
	}
}
