package metrics

import (
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/prometheus/client_golang/prometheus"
)

// registerFailover shows what failovers did to deletions, or may do.
func registerFailover(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_revoke_unreplicated_total",
			Help: "Deletions that fewer than --revoke-wait-replicas had acknowledged in time; a failover may undo them.",
		}, func() float64 { return float64(store.FailoverStats().Unreplicated) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_resurrected_total",
			Help: "Deleted sessions that were in Redis again, after a failover or a restore, and that this process has deleted again.",
		}, func() float64 { return float64(store.FailoverStats().Resurrected) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_remembered_deletions",
			Help: "Deletions that this process remembers.",
		}, func() float64 { return float64(store.FailoverStats().Remembered) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_remembered_ends",
			Help: "Ends of logins, which refuse JWTs, that this process remembers.",
		}, func() float64 { return float64(store.FailoverStats().Ends) }),
	)
}
