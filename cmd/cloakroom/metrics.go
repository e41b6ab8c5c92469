package main

import (
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newMetrics returns a registry with what the Go runtime and the system know
// of this process.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// registerSweep shows the work of the store's sweeper.
func registerSweep(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_swept_total",
			Help: "Expired sessions and cut-off writes whose index entries this process has cleared.",
		}, func() float64 { n, _ := store.SweepStats(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_sweep_backlog",
			Help: "Due sessions left after the last sweep; the total of a large search may be too high by as many.",
		}, func() float64 { _, n := store.SweepStats(); return float64(n) }),
	)
}
