package server

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Statuses besides 200 are counted as well, and several listeners count together.
func TestMetricsOfARoute(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	listeners := []*RouteMetrics{m.Of("GET /a"), m.Of("GET /a"), (*Metrics)(nil).Of("GET /a")}
	for _, status := range []int{http.StatusOK, http.StatusNotModified, http.StatusOK, 599} {
		for _, l := range listeners {
			l.Answered(status, time.Second)
		}
	}
	if got, want := gather(t, registry), map[string]float64{
		"cloakroom_http_requests_total 200 GET /a":       4,
		"cloakroom_http_requests_total 304 GET /a":       2,
		"cloakroom_http_requests_total 599 GET /a":       2,
		"cloakroom_http_request_duration_seconds GET /a": 8,
	}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// gather returns how often each metric has counted, by name and labels.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}
