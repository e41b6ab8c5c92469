// Package storetest says what a session store must do, as tests: a contract
// suite (Run), a property test that holds a store against a model (Property),
// and the model itself, a map searched by brute force.
//
// The suite passes on the model and on *cache.Store alike, so that neither the
// suite nor the model can be wrong alone.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
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
}

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
