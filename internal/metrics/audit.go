package metrics

import (
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/prometheus/client_golang/prometheus"
)

// registerAudit shows what the audits in the background have seen.
func registerAudit(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(auditCollector{store})
}

// auditCollector reads all figures of the audits together.
type auditCollector struct{ store *cache.Store }

var (
	auditDriftFound = prometheus.NewDesc("cloakroom_drift",
		"What the last audit in the background has found that does not fit together in Redis, by kind.", []string{"kind"}, nil)
	auditLooked = prometheus.NewDesc("cloakroom_audited_total",
		"Sessions, cards, entries and notes that audits in the background have looked at.", nil, nil)
	auditPasses = prometheus.NewDesc("cloakroom_audits_total",
		"Audits in the background that came to their end.", nil, nil)
)

func (c auditCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

func (c auditCollector) Collect(to chan<- prometheus.Metric) {
	s := c.store.AuditStats()
	for _, kind := range audit.Drifts() {
		to <- prometheus.MustNewConstMetric(auditDriftFound, prometheus.GaugeValue, float64(s.Drift[kind]), string(kind))
	}
	to <- prometheus.MustNewConstMetric(auditLooked, prometheus.CounterValue, float64(s.Looked))
	to <- prometheus.MustNewConstMetric(auditPasses, prometheus.CounterValue, float64(s.Passes))
}
