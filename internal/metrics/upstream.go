package metrics

import (
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterUpstream shows what a store asks the ZITADEL whose sessions it keeps copies of.
func RegisterUpstream(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_upstream_questions_total",
			Help: "Sessions that ZITADEL was asked for, to keep a copy.",
		}, func() float64 { return float64(store.UpstreamStats().Asked) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_upstream_overtaken_total",
			Help: "Answers of ZITADEL that were not kept because the session was written, or read by another process, meanwhile.",
		}, func() float64 { return float64(store.UpstreamStats().Overtaken) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_upstream_not_kept_total",
			Help: "Answers of ZITADEL that were not kept because the session has ended, or is too large.",
		}, func() float64 { return float64(store.UpstreamStats().NotKept) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_upstream_unused_removed_total",
			Help: "Copies of ZITADEL's sessions that were removed because nobody used them for --upstream-keep.",
		}, func() float64 { return float64(store.UpstreamStats().Unused) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_upstream_probes_total",
			Help: "Calls to ZITADEL about tokens that nothing here proves.",
		}, func() float64 { return float64(store.UpstreamStats().Probes) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_upstream_probes_refused_total",
			Help: "Calls to ZITADEL about tokens that nothing here proves that were not made, because too many waited or because it was not their turn in time.",
		}, func() float64 { return float64(store.UpstreamStats().NotProbed) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_probes_waiting",
			Help: "Calls to ZITADEL about tokens that nothing here proves that wait for their turn.",
		}, func() float64 { return float64(store.UpstreamStats().ProbesWaiting) }),
	)
}
