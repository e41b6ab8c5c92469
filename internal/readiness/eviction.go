package readiness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

const (
	// evictionEvery is how often Redis is asked for its policy.
	evictionEvery = 2 * time.Second
	// evictionTimeout bounds asking.
	evictionTimeout = 5 * time.Second
	// noEviction is the only policy under which Redis keeps what it has acknowledged.
	noEviction = "noeviction"
)

// Eviction watches Redis' maxmemory-policy. With any other than noeviction, Redis
// may throw away a session that nobody has ended, or the tombstone of one that
// somebody has, at the latest when maxmemory is set or reached.
type Eviction struct {
	rdb redis.UniversalClient
	log *slog.Logger
	now atomic.Pointer[evictionState]
}

// evictionState is what the last look has found.
type evictionState struct {
	says  string // for people
	fault error  // nil if nothing is evicted, or that is not known
}

// NewEviction watches the servers of rdb, once it is run.
func NewEviction(rdb redis.UniversalClient, log *slog.Logger) *Eviction {
	e := &Eviction{rdb: rdb, log: log}
	e.now.Store(&evictionState{says: "not asked yet"})
	return e
}

// Register shows whether sessions may be evicted.
func (e *Eviction) Register(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_redis_may_evict",
		Help: "1 while Redis' maxmemory-policy is not noeviction, else 0.",
	}, func() float64 {
		if e.now.Load().fault != nil {
			return 1
		}
		return 0
	}))
}

// Run looks again and again until ctx ends.
func (e *Eviction) Run(ctx context.Context) error { return parts.Again(ctx, evictionEvery, e.Look) }

// Look asks Redis; on a cluster, every master. A Redis that is away changes
// nothing. One that does not tell, because it has no INFO memory or the user may
// not ask, is trusted.
func (e *Eviction) Look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, evictionTimeout)
	defer cancel()
	policy, err := evictionPolicy(ctx, e.rdb)
	var reply redis.Error
	next := &evictionState{says: policy}
	switch {
	case errors.As(err, &reply) || err == nil && policy == "":
		next.says = "redis does not tell its maxmemory-policy"
	case err != nil:
		return
	case policy != noEviction:
		next.fault = fmt.Errorf("redis may evict sessions: its maxmemory-policy is %s and must be %s (CONFIG SET maxmemory-policy %s, and the same in redis.conf)", policy, noEviction, noEviction)
	}
	last := e.now.Swap(next)
	switch {
	case next.fault != nil && last.fault == nil:
		e.log.Error("redis may evict sessions: cloakroom is not ready until that is mended", "maxmemory_policy", policy, "must_be", noEviction)
	case next.fault == nil && last.fault != nil:
		e.log.Info("redis evicts no sessions any more", "maxmemory_policy", policy)
	}
}

// evictionPolicy returns the maxmemory-policy of rdb, "" if it does not tell;
// of a cluster with several, one that is not noeviction.
func evictionPolicy(ctx context.Context, rdb redis.UniversalClient) (string, error) {
	var mu sync.Mutex
	found := ""
	err := redisinfo.EveryMaster(ctx, rdb, func(ctx context.Context, master redis.UniversalClient) error {
		info, err := master.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if found == "" || found == noEviction {
			found = redisinfo.Field(info, "maxmemory_policy")
		}
		return nil
	})
	return found, err
}
