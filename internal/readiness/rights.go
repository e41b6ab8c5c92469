package readiness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

const (
	// rightsEvery is how often Redis is asked what its user may do.
	rightsEvery = 5 * time.Second
	// rightsTimeout bounds asking.
	rightsTimeout = 2 * time.Second
	// allRights is what is said of a user who lacks none.
	allRights = "all there"
)

// Rights watches what the Redis user may do: a right that is missing is to be
// known before the request that needs it. It is safe for concurrent use.
type Rights struct {
	rdb   redis.UniversalClient
	log   *slog.Logger
	user  string // "default" if none is configured
	space *keys.Space
	when  func() acl.When
	now   atomic.Pointer[rightsState]
}

// rightsState is what the last look has found.
type rightsState struct {
	says    string // for people
	missing int    // how many rights requests need and the user lacks
	fault   error  // nil if there are none
	spare   string // what is missing, and can be done without
}

// NewRights watches the user of rdb, "" if it has the default one. prefix is that of the keys; when is
// asked each time what the program does, which changes with its files.
func NewRights(rdb redis.UniversalClient, user, prefix string, when func() acl.When, log *slog.Logger) (*Rights, error) {
	space, err := keys.NewSpace(prefix, 1) // no pattern has a shard in it
	if err != nil {
		return nil, err
	}
	r := &Rights{rdb: rdb, log: log, user: cmp.Or(user, "default"), space: space, when: when}
	r.now.Store(&rightsState{says: "not asked yet"})
	return r, nil
}

// Register shows how many rights are missing.
func (r *Rights) Register(to prometheus.Registerer) {
	to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_redis_rights_missing",
		Help: "Commands and kinds of keys that requests need and that the Redis user may not use; not ready while above 0.",
	}, func() float64 { return float64(r.now.Load().missing) }))
}

// Run looks again and again until ctx ends.
func (r *Rights) Run(ctx context.Context) error { return parts.Again(ctx, rightsEvery, r.Look) }

// Look asks Redis; on a Cluster, every master. One that is away changes nothing.
// A server that cannot tell is trusted.
func (r *Rights) Look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, rightsTimeout)
	defer cancel()
	lacks, err := r.ask(ctx)
	last := r.now.Load()
	needed, spare := strings.Join(lacks.Needed(), ", "), strings.Join(lacks.Spare(), ", ")
	next := &rightsState{says: allRights, missing: len(lacks.Needed()), spare: spare}
	switch {
	case needed != "":
		text := fmt.Sprintf("the redis user %s may not use %s", r.user, needed)
		if lacks.Partly {
			text += "; without them Cloakroom cannot tell what else is missing"
		}
		next.says = text
		next.fault = fmt.Errorf("%s (`cloakroom acl` prints the whole rule)", text)
	case errors.Is(err, acl.ErrUntold):
		next.says = "redis does not tell"
	case err != nil: // it is away, loading or busy: what was known stays
		return
	case spare != "":
		next.says = "all that requests need; not " + spare
	}
	r.now.Store(next)
	if next.says == last.says {
		return
	}
	switch {
	case next.fault != nil:
		r.log.Error("the redis user lacks rights: cloakroom is not ready until it has them", "user", r.user, "may_not_use", needed)
	case last.fault != nil:
		r.log.Info("the redis user has all rights that requests need", "user", r.user)
	}
	if spare != "" && spare != last.spare {
		r.log.Warn("the redis user lacks rights that requests can do without", "user", r.user, "may_not_use", spare)
	}
}

// Fault says which rights requests need and the user lacked at the last look, nil if it had all.
func (r *Rights) Fault() error { return r.now.Load().fault }

// ask returns what is missing at any server that answers, and why one did not.
func (r *Rights) ask(ctx context.Context) (all acl.Lacks, err error) {
	var mu sync.Mutex
	seen := map[string]bool{}
	err = redisinfo.EveryMaster(ctx, r.rdb, func(ctx context.Context, master redis.UniversalClient) error {
		lacks, err := acl.Check(ctx, master, r.space, acl.Needed(cache.Rights(), r.when()))
		mu.Lock()
		defer mu.Unlock()
		for _, one := range lacks.All {
			if !seen[one.Name] {
				seen[one.Name] = true
				all.All = append(all.All, one)
			}
		}
		all.Partly = all.Partly || lacks.Partly
		return err
	})
	return all, err
}
