package metrics

import (
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/prometheus/client_golang/prometheus"
)

// registerSearches shows what searches do, and how round trips to Redis are shared.
func registerSearches(r prometheus.Registerer, store *cache.Store) {
	r.MustRegister(searchCollector{store}, batchCollector{store})
}

// searchCollector reads all figures of the searches together.
type searchCollector struct{ store *cache.Store }

var (
	searches = prometheus.NewDesc("cloakroom_searches_total",
		"Searches, by what they took their candidates from and how they ended.", []string{"plan", "outcome"}, nil)
	searchCandidates = prometheus.NewDesc("cloakroom_search_candidates",
		"Sessions that a search had to look at, by what it took them from; without searches that were refused.", []string{"plan"}, nil)
	costlySearches = prometheus.NewDesc("cloakroom_costly_searches",
		"Searches that look at more than 1,000 sessions or due cards, or go to a far offset on a Cluster, by state: running, or waiting for their turn.", []string{"state"}, nil)
	costlySearchesLimit = prometheus.NewDesc("cloakroom_costly_searches_limit",
		"Such searches that may run at a time.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c searchCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c searchCollector) Collect(to chan<- prometheus.Metric) {
	s := c.store.SearchStats()
	for i := range s.Plans {
		p := &s.Plans[i]
		for _, o := range []struct {
			name  string
			count uint64
		}{{"answered", p.Answered}, {"failed", p.Failed}, {"too_costly", p.TooCostly}, {"busy", p.Busy}} {
			to <- prometheus.MustNewConstMetric(searches, prometheus.CounterValue, float64(o.count), p.Plan, o.name)
		}
		to <- prometheus.MustNewConstHistogram(searchCandidates, p.Answered+p.Failed, float64(p.Candidates), p.UpTo, p.Plan)
	}
	to <- prometheus.MustNewConstMetric(costlySearches, prometheus.GaugeValue, float64(s.CostlyRunning), "running")
	to <- prometheus.MustNewConstMetric(costlySearches, prometheus.GaugeValue, float64(s.CostlyWaiting), "waiting")
	to <- prometheus.MustNewConstMetric(costlySearchesLimit, prometheus.GaugeValue, float64(s.CostlyLimit))
}

// batchCollector reads all figures of the shared round trips together.
type batchCollector struct{ store *cache.Store }

var (
	batchCalls = prometheus.NewDesc("cloakroom_batch_calls_total",
		"Calls that were sent to Redis in round trips that concurrent calls share, by batch.", []string{"batch"}, nil)
	batchTrips = prometheus.NewDesc("cloakroom_batch_trips_total",
		"Round trips that concurrent calls shared, by batch.", []string{"batch"}, nil)
	batchRefused = prometheus.NewDesc("cloakroom_batch_refused_total",
		"Calls that were refused because too many commands waited for a round trip, by batch.", []string{"batch"}, nil)
	batchQueued = prometheus.NewDesc("cloakroom_batch_queued",
		"Commands that wait for a round trip, by batch.", []string{"batch"}, nil)
)

// Describe implements prometheus.Collector.
func (c batchCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c batchCollector) Collect(to chan<- prometheus.Metric) {
	for _, b := range c.store.BatchStats() {
		to <- prometheus.MustNewConstMetric(batchCalls, prometheus.CounterValue, float64(b.Calls), b.Batch)
		to <- prometheus.MustNewConstMetric(batchTrips, prometheus.CounterValue, float64(b.Trips), b.Batch)
		to <- prometheus.MustNewConstMetric(batchRefused, prometheus.CounterValue, float64(b.Refused), b.Batch)
		to <- prometheus.MustNewConstMetric(batchQueued, prometheus.GaugeValue, float64(b.Queued), b.Batch)
	}
}
