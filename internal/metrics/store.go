// Package metrics shows what other packages count.
package metrics

import (
	"runtime"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns a registry with what the Go runtime and the system know
// of this process.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// RegisterStore shows all that a store tells of itself.
func RegisterStore(r prometheus.Registerer, store *cache.Store) {
	registerSweep(r, store)
	registerNear(r, store)
	registerSearches(r, store)
	registerEvicted(r, store)
	registerAudit(r, store)
	registerClock(r, store)
	registerFailover(r, store)
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

// RegisterBuild shows what runs.
func RegisterBuild(r prometheus.Registerer, version, commit string) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_build_info", Help: "1, with the version and the commit of this program and the version of Go.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": runtime.Version()},
	}, func() float64 { return 1 }))
}

// registerClock shows how far the clocks of this machine and of Redis differ.
func registerClock(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_clock_offset_seconds",
		Help: "Redis' clock minus this machine's. Redis' decides when a session ends; a difference does no harm here.",
	}, func() float64 { return time.Until(store.Now().Std()).Seconds() }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_redis_clock_spread_seconds",
		Help: "By how much the clocks of a Cluster's masters differ, at least; 0 where there is one server.",
	}, func() float64 { return store.ClockSpread().Seconds() }))
}

// registerEvicted shows what the limit on a user's sessions has cost.
func registerEvicted(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "cloakroom_sessions_evicted_total",
		Help: "Sessions that this process has deleted because their user got a newer one and had as many as are allowed.",
	}, func() float64 { return float64(store.Evicted()) }))
}

// registerNear shows what the near cache tells of itself.
func registerNear(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(nearCollector{store})
}

// nearCollector reads all figures of the near cache together.
type nearCollector struct{ store *cache.Store }

var (
	nearHits = prometheus.NewDesc("cloakroom_near_hits_total",
		"Copies in this process that answered without Redis, by kind.", []string{"kind"}, nil)
	nearMisses = prometheus.NewDesc("cloakroom_near_misses_total",
		"Copies that were asked for and had to be read from Redis, by kind.", []string{"kind"}, nil)
	nearInvalidations = prometheus.NewDesc("cloakroom_near_invalidations_total",
		"Keys that were forgotten because they changed, by kind.", []string{"kind"}, nil)
	nearTold = prometheus.NewDesc("cloakroom_near_told_total",
		"Keys that Redis has told this process of, by whether it held a copy.", []string{"held"}, nil)
	nearLinkReads = prometheus.NewDesc("cloakroom_near_link_reads_total",
		"Reads over connections for invalidations (--near-cache-tracking=keys), by whether they were answered; the others went over ordinary connections, and were not kept.", []string{"answered"}, nil)
	nearEntries = prometheus.NewDesc("cloakroom_near_entries",
		"Copies that are held, by kind; unknown session IDs are among the sessions.", []string{"kind"}, nil)
	nearBytes = prometheus.NewDesc("cloakroom_near_bytes",
		"About what the copies take, by kind, in bytes.", []string{"kind"}, nil)
	nearFlushes = prometheus.NewDesc("cloakroom_near_flushes_total",
		"How often all copies were forgotten.", nil, nil)
	nearLinksLost = prometheus.NewDesc("cloakroom_near_links_lost_total",
		"How often a connection for invalidations ended, and the others with it.", nil, nil)
	nearLinks = prometheus.NewDesc("cloakroom_near_links",
		"Masters that there is a connection for invalidations to.", nil, nil)
	nearLinkUp = prometheus.NewDesc("cloakroom_near_link_up",
		"1 while invalidations come from every master that sessions are on, else 0.", nil, nil)
	nearLag = prometheus.NewDesc("cloakroom_near_invalidation_lag_seconds",
		"How long the newest answer on the slowest connection for invalidations took; no invalidation before it was later.", nil, nil)
	nearProofAge = prometheus.NewDesc("cloakroom_near_proof_age_seconds",
		"Time since it was last proven that no invalidation was missed; -1 if it is not. Copies are used while it is below the staleness bound.", nil, nil)
)

func (c nearCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

func (c nearCollector) Collect(to chan<- prometheus.Metric) {
	s := c.store.NearStats()
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, k := range []struct {
		name string
		of   *near.KindStats
	}{{"session", &s.Sessions}, {"list", &s.Lists}, {"token", &s.Tokens}, {"page", &s.Pages}, {"end", &s.Ends}} {
		counter(nearHits, k.of.Hits, k.name)
		counter(nearMisses, k.of.Misses, k.name)
		counter(nearInvalidations, k.of.Invalidations, k.name)
		gauge(nearEntries, float64(k.of.Entries), k.name)
		gauge(nearBytes, float64(k.of.Bytes), k.name)
	}
	counter(nearTold, s.ToldHeld, "true")
	counter(nearTold, s.ToldOther, "false")
	counter(nearLinkReads, s.LinkReads, "true")
	counter(nearLinkReads, s.LinkFails, "false")
	counter(nearFlushes, s.Flushes)
	counter(nearLinksLost, s.LinksLost)
	up := 0.0
	if s.Linked {
		up = 1
	}
	gauge(nearLinkUp, up)
	gauge(nearLinks, float64(s.Links))
	gauge(nearLag, s.Lag.Seconds())
	age := s.ProofAge.Seconds()
	if s.ProofAge < 0 {
		age = -1
	}
	gauge(nearProofAge, age)
}
