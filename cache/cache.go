// Package cache is the session store: Get, Put, Delete, Search of whole
// sessions, kept in Redis as hashes whose TTL is their expiration date.
//
// Writes are optimistic: Put and Delete act on the version that the caller
// read and answer session.ErrConflict if another writer was faster. Every
// error that is not one of the sentinels of package session, or an
// *index.TooCostlyError, wraps session.ErrUnavailable. (I2)
//
// A Store is safe for concurrent use. It never sees HTTP.
package cache

import (
	"context"
	"log/slog"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Config configures a Store. Redis is required; other zero fields mean their defaults.
type Config struct {
	Redis redis.UniversalClient
	// Prefix begins every key; default keys.DefaultPrefix.
	Prefix string
	// Shards is P; 0 takes the recorded one, or 1 where none is recorded yet.
	Shards int
	// Clock is the store's clock; nil follows Redis' TIME (see Run).
	Clock func() session.Time
	// MaxCandidates is how many sessions a search may examine; default 20,000.
	MaxCandidates int
	// MaxSessions is how many sessions may be stored; 0 has no limit.
	MaxSessions int
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Store is a session store in Redis. Make it with Open.
type Store struct{}

// Open connects: it checks the server, records or compares the number of
// shards, loads the scripts and reads the server's clock. It starts no
// goroutine; Run does the background work.
func Open(ctx context.Context, c Config) (*Store, error) { panic("under construction") }

// Run follows the server's clock and sweeps expired sessions' entries, until
// ctx ends. It returns nil then.
func (s *Store) Run(ctx context.Context) error { panic("under construction") }

// Now is the store's clock. (I1)
func (s *Store) Now() session.Time { panic("under construction") }

// Ping says whether Redis answers.
func (s *Store) Ping(ctx context.Context) error { panic("under construction") }

// Get returns the session with this ID, or session.ErrNotFound.
func (s *Store) Get(ctx context.Context, id session.ID) (*session.Stored, error) {
	panic("under construction")
}

// GetByToken returns the session whose current token is token, whoever made
// it, or session.ErrNotFound.
func (s *Store) GetByToken(ctx context.Context, token string) (*session.Stored, error) {
	panic("under construction")
}

// Put stores next in place of old, the version that the caller read; a nil old
// says that there is none. It answers session.ErrConflict if that is not so,
// session.ErrDeleted if the session was deleted with a sequence not below
// next.Sequence, session.ErrFull if no further session fits. next must not be
// due. A Put whose reply was lost is safely repeated with the same arguments
// by Put itself.
func (s *Store) Put(ctx context.Context, next *session.Session, old *session.Stored) error {
	panic("under construction")
}

// Deleted says what a delete left behind.
type Deleted struct {
	// Sequence is one above that of the deleted version.
	Sequence   uint64
	ChangeDate session.Time
}

// Delete deletes old, the version that the caller read, and leaves a tombstone
// with the sequence of the deletion. It answers session.ErrConflict if another
// version is stored, session.ErrNotFound if there is none.
func (s *Store) Delete(ctx context.Context, old *session.Stored, reason string) (Deleted, error) {
	panic("under construction")
}

// Search returns the page that q asks for, as index.Query.Match defines it.
// A search that is too costly gets an *index.TooCostlyError.
func (s *Store) Search(ctx context.Context, q *index.Query) (*index.Page, error) {
	panic("under construction")
}
