package metrics

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// Redis counts what goes to Redis, as a hook of every client, and shows
// the clients' pools. It is safe for concurrent use.
type Redis struct {
	duration *prometheus.HistogramVec
	one      prometheus.Observer
	pipeline prometheus.Observer
	commands prometheus.Counter
	errors   *prometheus.CounterVec

	mu      sync.Mutex
	clients []watched
	gone    redis.PoolStats // the counts of clients that are no more
}

// watched is a client. It is not kept: those of nodes that have left a Cluster go.
type watched struct {
	client weak.Pointer[redis.Client]
	last   redis.PoolStats // as it was when it was last looked at
}

// The round trips that are told apart.
const (
	tripCommand  = "command"
	tripPipeline = "pipeline"
)

// NewRedis registers with r what is counted of all clients that are watched.
func NewRedis(r prometheus.Registerer) *Redis {
	m := &Redis{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cloakroom_redis_round_trip_duration_seconds",
			Help:    "Time of a round trip to Redis with the wait for a connection, by kind: one command, or a pipeline of several.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"kind"}),
		commands: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_redis_commands_total",
			Help: "Commands sent to Redis; by round trips, how many share one.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_redis_errors_total",
			Help: "Round trips to Redis that failed, by class.",
		}, []string{"class"}),
	}
	m.one, m.pipeline = m.duration.WithLabelValues(tripCommand), m.duration.WithLabelValues(tripPipeline)
	for _, class := range errorClasses {
		m.errors.WithLabelValues(class)
	}
	r.MustRegister(m.duration, m.commands, m.errors, poolCollector{m})
	return m
}

// Watch counts what goes over a client; nil counts nothing.
func (m *Redis) Watch(c *redis.Client) *redis.Client {
	if m == nil { // a subcommand that shows no metrics
		return c
	}
	c.AddHook(m)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients = append(m.clients, watched{client: weak.Make(c)})
	return c
}

// DialHook implements redis.Hook.
func (m *Redis) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (m *Redis) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		begin := time.Now()
		err := next(ctx, cmd)
		m.done(m.one, begin, 1, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (m *Redis) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		begin := time.Now()
		err := next(ctx, cmds)
		commands := 0
		for _, cmd := range cmds {
			commands += batch.CommandsOf(cmd)
		}
		m.done(m.pipeline, begin, commands, err)
		return err
	}
}

func (m *Redis) done(o prometheus.Observer, begin time.Time, commands int, err error) {
	if err != nil && !errors.Is(err, redis.Nil) {
		m.errors.WithLabelValues(classOf(err)).Inc()
	}
	o.Observe(time.Since(begin).Seconds())
	m.commands.Add(float64(commands))
}

// errorClasses are all classes of errors.
var errorClasses = []string{"pool", "timeout", "network", "canceled", "script", "readonly", "loading", "full", "busy", "denied", "cluster", "no_master", "maxclients", "other"}

// redisErrors are how Redis' own errors begin, and their classes. It is not
// their text that labels a metric: that can hold keys. (I6)
var redisErrors = []struct{ begins, class string }{
	{"NOSCRIPT", "script"},
	{"READONLY", "readonly"},
	{"LOADING", "loading"},
	{"MASTERDOWN", "readonly"},
	{"OOM", "full"},
	{"BUSY", "busy"},
	{"NOPERM", "denied"},
	{"ERR The user executing the script", "denied"}, // Redis 7.0, of a command or a key in a script
	{"ERR ACL failure in script", "denied"},         // later ones, and Valkey
	{"NOAUTH", "denied"},
	{"WRONGPASS", "denied"},
	{"MOVED", "cluster"},
	{"ASK", "cluster"},
	{"TRYAGAIN", "cluster"},
	{"CLUSTERDOWN", "cluster"},
	{"CROSSSLOT", "cluster"},
}

func classOf(err error) string {
	if _, ok := errors.AsType[*endpoint.NoMasterError](err); ok {
		return "no_master"
	}
	var hidden interface{ Cause() error }
	if errors.As(err, &hidden) {
		err = hidden.Cause()
	}
	if errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) {
		return "pool"
	}
	if errors.Is(err, context.Canceled) {
		return "canceled"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	text := err.Error()
	if strings.Contains(text, "max number of clients reached") {
		return "maxclients"
	}
	for _, e := range redisErrors {
		if strings.HasPrefix(text, e.begins) {
			return e.class
		}
	}
	if _, ok := errors.AsType[redis.Error](err); ok {
		return "other"
	}
	return "network"
}

// poolCollector shows the connections of all clients together.
type poolCollector struct{ of *Redis }

var (
	poolConnections = prometheus.NewDesc("cloakroom_redis_pool_connections",
		"Connections to Redis in the pools, by state.", []string{"state"}, nil)
	poolHits = prometheus.NewDesc("cloakroom_redis_pool_hits_total",
		"Round trips that found a connection in the pool.", nil, nil)
	poolMisses = prometheus.NewDesc("cloakroom_redis_pool_misses_total",
		"Round trips that had to make a connection, or to wait for one.", nil, nil)
	poolTimeouts = prometheus.NewDesc("cloakroom_redis_pool_timeouts_total",
		"Round trips that waited in vain for a connection.", nil, nil)
	poolStale = prometheus.NewDesc("cloakroom_redis_pool_stale_connections_total",
		"Connections that were given up because they were broken or old.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c poolCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(to chan<- prometheus.Metric) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	sum := c.of.pools()
	for d, n := range map[*prometheus.Desc]uint32{poolHits: sum.Hits, poolMisses: sum.Misses, poolTimeouts: sum.Timeouts, poolStale: sum.StaleConns} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	to <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(sum.IdleConns), "idle")
	to <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(sum.TotalConns-min(sum.IdleConns, sum.TotalConns)), "busy")
}

// pools adds up the pools of all clients. Counts of those that are gone stay, as
// far as they were seen; their connections do not. The caller holds m.mu.
func (m *Redis) pools() redis.PoolStats {
	var now redis.PoolStats
	m.clients = slices.DeleteFunc(m.clients, func(w watched) bool { return w.client.Value() == nil && m.addGone(w.last) })
	for i := range m.clients {
		w := &m.clients[i]
		if client := w.client.Value(); client != nil {
			w.last = *client.PoolStats()
		}
		count(&now, &w.last)
		now.IdleConns += w.last.IdleConns
		now.TotalConns += w.last.TotalConns
	}
	count(&now, &m.gone)
	return now
}

// addGone adds the counts of a client that is gone to those that stay, and returns
// true.
func (m *Redis) addGone(last redis.PoolStats) bool {
	count(&m.gone, &last)
	return true
}

// count adds the counts of more to sum.
func count(sum, more *redis.PoolStats) {
	sum.Hits += more.Hits
	sum.Misses += more.Misses
	sum.Timeouts += more.Timeouts
	sum.StaleConns += more.StaleConns
}
