package news

import (
	"errors"
	"math"

	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
)

// measures are the metrics of a Follower.
type measures struct {
	events, polls *prometheus.CounterVec
}

func newMeasures(r prometheus.Registerer, f *Follower) *measures {
	m := &measures{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_upstream_events_total",
			Help: "Events of ZITADEL that this process has heard of, by how and by their effect on copies.",
		}, []string{"from", "effect"}),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_upstream_event_searches_total",
			Help: "Searches for events that this process has made for all, by result.",
		}, []string{"result"}),
	}
	for _, from := range []string{"search", "webhook"} {
		for _, effect := range []string{effectTerminated, effectChanged, effectUser, effectTied, effectNone} {
			m.events.WithLabelValues(from, effect)
		}
	}
	m.events.WithLabelValues("webhook", "lost")
	for _, result := range []string{"ok", "failed", "forbidden", "gap"} {
		m.polls.WithLabelValues(result)
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.events, m.polls,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_news_age_seconds",
			Help: "How long ago it was last known that no event of ZITADEL is missing; NaN if it is not known.",
		}, func() float64 {
			n := f.Store.LastNews()
			if n == nil {
				return math.NaN()
			}
			return f.now().Sub(n.Proven).Seconds()
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_news_leads",
			Help: "1 while this process searches for events, for all.",
		}, func() float64 {
			if f.State().Leads {
				return 1
			}
			return 0
		}),
	)
	return m
}

func (m *measures) event(from, effect string) { m.events.WithLabelValues(from, effect).Inc() }

// lost counts sent events that were not applied, or not all of them.
func (m *measures) lost(n int) { m.events.WithLabelValues("webhook", "lost").Add(float64(n)) }

// gap counts a gap: the search has other results as well.
func (m *measures) gap() { m.polls.WithLabelValues("gap").Inc() }

// polled counts a step.
func (m *measures) polled(leads bool, err error) {
	_, forbidden := errors.AsType[*upstream.Forbidden](err)
	switch {
	case forbidden:
		m.polls.WithLabelValues("forbidden").Inc()
	case err != nil:
		m.polls.WithLabelValues("failed").Inc()
	case leads:
		m.polls.WithLabelValues("ok").Inc()
	}
}
