package metrics

import (
	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMaster shows whether the server that answers is proven to be the master.
func RegisterMaster(r prometheus.Registerer, e *endpoint.Endpoint) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_redis_master_proven",
			Help: "1 while the Redis server that answers is proven to be the master, else 0: then every call is refused.",
		}, func() float64 {
			if e.Err() != nil {
				return 0
			}
			return 1
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloakroom_redis_master_changes_total",
			Help: "How often the server that was the master turned out not to be it any more.",
		}, func() float64 { return float64(e.Changes()) }),
	)
}
