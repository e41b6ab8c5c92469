package metrics

import (
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterBreakers shows what the breakers tell of themselves.
func RegisterBreakers(r prometheus.Registerer, b *breaker.Breakers) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_redis_breaker_open",
			Help: "Redis servers that count as away, so that calls to them fail at once; 0 if all is well.",
		}, func() float64 { return float64(len(b.Stats().Open)) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_redis_breaker_trips_total",
			Help: "How often a Redis server began to count as away.",
		}, func() float64 { return float64(b.Stats().Trips) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_redis_breaker_refused_total",
			Help: "Round trips that were not made because their Redis server counts as away.",
		}, func() float64 { return float64(b.Stats().Refused) }),
	)
}
