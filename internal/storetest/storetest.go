// Package storetest says what a session store must do, as tests: a contract
// suite (Run), a property test that holds a store against a model (Property),
// and the model itself, a map searched by brute force.
//
// The suite passes on the model and on *cache.Store alike, so that neither the
// suite nor the model can be wrong alone.
package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// Store is a session store: *cache.Store, or the Model. Its methods do what
// those of *cache.Store are documented to do.
type Store interface {
	Now() session.Time
	Get(ctx context.Context, id session.ID) (*session.Stored, error)
	GetFresh(ctx context.Context, id session.ID) (*session.Stored, error)
	GetByToken(ctx context.Context, token string) (*session.Stored, error)
	GetByTokenFresh(ctx context.Context, token string) (*session.Stored, error)
	Put(ctx context.Context, next *session.Session, old *session.Stored) error
	Delete(ctx context.Context, old *session.Stored, reason string) (cache.Deleted, error)
	Revoke(ctx context.Context, r cache.Revocation) (revoked uint64, err error)
	Search(ctx context.Context, q *index.Query) (*index.Page, error)
	End(ctx context.Context, name session.EndName, e session.End) (cache.Acknowledged, error)
	Ended(ctx context.Context, l *session.Login) (bool, error)
}

// EndsFor is what a store is told by SetEndsFor: sessions whose IDs begin with this have JWTs.
func EndsFor(id session.ID) (kept time.Duration, ends bool) {
	if strings.HasPrefix(string(id), jwtPrefix) {
		return endLifetime, true
	}
	return 0, false
}

const (
	jwtPrefix   = "kc:"
	endLifetime = 90 * 24 * time.Hour
)

// Limits are the bounds that a store is opened with; zero fields mean its defaults.
type Limits struct {
	MaxCandidates int
	MaxSessions   int

	MaxSessionsPerUser int
	EvictOldest        bool
}

// Open opens an empty store for one test, and returns how to move its clock,
// a Clock, forward.
type Open func(t *testing.T, l Limits) (s Store, advance func(time.Duration))

// TombstoneTTL is how long a deleted session is remembered, at most.
const TombstoneTTL = 24 * time.Hour

// defaultMaxCandidates is that of cache.Config.
const defaultMaxCandidates = 20_000

// Run runs the contract suite, each test on a store of its own.
func Run(t *testing.T, open Open) { RunOneIn(t, 1, open) }

// RunOneIn runs the contract suite, of which it does one test in n with -short, and others each time.
func RunOneIn(t *testing.T, n int, open Open) {
	isDone, number := testdepth.OneIn(t, n), 0
	for _, group := range []struct {
		name  string
		tests []contractTest
	}{
		{"Put", putTests},
		{"UserLimit", userLimitTests},
		{"Delete", deleteTests},
		{"Revoke", revokeTests},
		{"End", endTests},
		{"Token", tokenTests},
		{"Search", searchTests},
		{"Dates", dateTests},
		{"Sees", seesTests},
		{"Page", pageTests},
		{"Cursor", cursorTests},
		{"Costly", costlyTests},
		{"Text", textTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				if number++; !isDone(number) {
					continue
				}
				t.Run(test.name, func(t *testing.T) {
					store, advance := open(t, test.limits)
					test.run(&fixture{T: t, store: store, advance: advance, start: store.Now()})
				})
			}
		})
	}
}

type contractTest struct {
	name   string
	limits Limits
	run    func(f *fixture)
}
