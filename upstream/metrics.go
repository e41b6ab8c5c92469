package upstream

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// measures are what a client counts. They also count where nobody looks.
type measures struct {
	calls      *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	renewals   *prometheus.CounterVec
	unkeepable *prometheus.CounterVec
}

func newMeasures(to prometheus.Registerer, c *Client) *measures {
	m := &measures{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_upstream_calls_total",
			Help: "Calls to ZITADEL, by what they were and how they ended: 2xx to 5xx, or, without an answer, unavailable, open (not sent: the breaker is open), busy, paused (ZITADEL asks for fewer), gone (the caller did not wait).",
		}, []string{"call", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cloakroom_upstream_call_seconds",
			Help:    "How long calls to ZITADEL took, with their wait for their turn.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"call"}),
		renewals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_upstream_token_renewals_total",
			Help: "Access tokens of ours that ZITADEL was asked for, by whether it gave one: ok or failed.",
		}, []string{"result"}),
		unkeepable: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_upstream_unkeepable_sessions_total",
			Help: "Sessions of ZITADEL that were passed on and cannot be kept, by why: unknown (it has members that are not known here), limits, unreadable.",
		}, []string{"why"}),
	}
	if to == nil {
		return m
	}
	to.MustRegister(m.calls, m.seconds, m.renewals, m.unkeepable,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_in_flight", Help: "Calls to ZITADEL that are under way.",
		}, func() float64 { return float64(len(c.places.taken)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_queued", Help: "Calls to ZITADEL that wait for their turn.",
		}, func() float64 { return float64(c.places.waiting.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_away", Help: "1 while ZITADEL counts as away, so that calls fail at once, else 0.",
		}, func() float64 {
			if c.circuit.away.Load() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_account_refused", Help: "1 while ZITADEL refuses our access token or gives us none, else 0.",
		}, func() float64 {
			if c.service.fault() != "" {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_upstream_pause_seconds", Help: "For how long ZITADEL has asked us to make no calls; 0 if it has not.",
		}, func() float64 { return c.pauses.left(true, time.Now()).Seconds() }))
	return m
}

// done counts a call that has ended.
func (m *measures) done(call string, a *Answer, err error, took time.Duration) {
	m.calls.WithLabelValues(call, result(a, err)).Inc()
	m.seconds.WithLabelValues(call).Observe(took.Seconds())
}

// result is how a call has ended.
func result(a *Answer, err error) string {
	var later *RetryLaterError
	var away *UnavailableError
	switch {
	case err == nil:
		return strconv.Itoa(a.Status/100) + "xx"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.As(err, &later):
		return "paused"
	case errors.As(err, &away) && away.cause != nil:
		return "gone"
	case errors.As(err, &away) && away.refused:
		return "open"
	}
	return "unavailable"
}

// renewed counts a renewal of our access token.
func (m *measures) renewed(ok bool, took time.Duration) {
	if ok {
		m.renewals.WithLabelValues("ok").Inc()
	} else {
		m.renewals.WithLabelValues("failed").Inc()
	}
	m.seconds.WithLabelValues("token").Observe(took.Seconds())
}
