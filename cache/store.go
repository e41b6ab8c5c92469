// Package cache is the session store: Get, Put, Delete and Search of whole
// sessions, kept in Redis as hashes whose TTL is their expiration date.
//
// Writes are optimistic: Put and Delete act on the version that the caller
// read and answer session.ErrConflict if another writer was faster. Every
// error that is not one of the sentinels of package session, an
// *session.InvalidError or an *index.TooCostlyError wraps
// session.ErrUnavailable. (I2)
//
// A Store is safe for concurrent use by any number of goroutines and
// processes. It never sees HTTP.
package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/deletions"
	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/cache/ties"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisclock"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Config configures a Store. Redis is required; other zero fields mean their
// defaults. The clients should not retry by themselves (MaxRetries -1): a
// write that may have happened is repeated by Put, which knows how.
type Config struct {
	Redis redis.UniversalClient
	// Searches serves searches, so that they take no connection from other
	// calls; default Redis.
	Searches redis.UniversalClient
	// Costly serves costly searches, for the same reason; default Redis.
	Costly redis.UniversalClient
	// Replicas answers, in place of Costly, a costly search that may read replicas
	// (index.Reads), whether copies may be used or not. It may lag behind the
	// masters, without a bound, as that search does then; nil has none.
	Replicas redis.UniversalClient
	// ClientName begins the names of the connections for invalidations, in CLIENT
	// LIST; "" gives them none.
	ClientName string
	// Prefix begins every key; default keys.DefaultPrefix.
	Prefix string
	// Shards is P; 0 takes the recorded one, and where none is recorded yet
	// 32 on a Cluster, else 1.
	Shards int
	// Clock is the store's clock; nil follows Redis' TIME (see Run).
	Clock func() session.Time
	// MaxCandidates is how many sessions a search may examine; default
	// index.DefaultMaxCandidates.
	MaxCandidates int
	// MaxSessions is how many sessions may be stored; 0 has no limit. It needs
	// a store of one shard.
	MaxSessions int
	// MaxSessionsPerUser is how many live sessions a user may have; 0 has no
	// limit. All processes should have the same. Every write that gives a user
	// one more session keeps it: Put says how. A user that has more already,
	// because it was lowered, keeps them until then.
	MaxSessionsPerUser int
	// EvictOldest says what happens at that limit: true deletes the user's oldest
	// sessions for the new one, false refuses the new one.
	EvictOldest bool
	// NearBytes is about how much memory copies of sessions in this process may
	// take, in bytes; 0 has none. They are used only while Run runs, and only
	// where the servers have client tracking and Redis and Searches are
	// *redis.Client, or *redis.ClusterClient that read from masters only and
	// have been made for this store.
	NearBytes int
	// NearStaleness is the bound: what another process has done longer ago is
	// always seen, whatever messages are lost; default 1 s.
	NearStaleness time.Duration
	// NearByKey has Redis tell each process of changes of what it has read, in place of
	// all changes: a write then costs Redis what its readers cost, not what all processes
	// cost, and Redis keeps in mind what each process holds (tracking-table-max-keys).
	NearByKey bool
	// StaleIfError is how old what Stale answers may be; 0, the default, has it
	// answer nothing. It needs a near cache.
	StaleIfError time.Duration
	// AuditEvery is how often Run looks through all that is stored, slowly, for what
	// does not fit together (AuditStats); 0 does not.
	AuditEvery time.Duration
	// RevokeWaitReplicas is how many replicas a Delete waits for; 0 waits for none.
	RevokeWaitReplicas int
	// RevokeWaitTimeout is how long it waits at most; default 100 ms. It must be
	// less than half of a second.
	RevokeWaitTimeout time.Duration
	// JWTs says that ends are asked for (Ended), so that the near cache has a part for them.
	JWTs bool
	// Upstream is the system of record whose sessions are kept here; nil: there is none.
	Upstream *Upstream
	// RememberDeletions is about how many deletions this process remembers, so
	// that a failover brings none of those sessions back, and about how many ends; 0 remembers none.
	RememberDeletions int
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Store is a session store in Redis. Make it with Open.
type Store struct {
	rdb         redis.UniversalClient
	costly      redis.UniversalClient
	replicas    redis.UniversalClient // for costly searches that may read replicas; nil if there are none
	gets        reads                 // round trips that single reads share
	searches    trips                 // those of searches, which never hold up single reads (I10)
	writes      trips                 // those of scripts
	searchReads reads                 // those of searches for lists and documents
	costlyReads reads                 // those of costly searches for documents
	keys        *keys.Space
	index       *index.Index
	clock       func() session.Time
	follow      *redisclock.Clocks // nil if Config.Clock was given
	near        *near.Cache        // nil if there is none
	maxSessions int
	maxPerUser  int  // 0 has no limit
	evictOldest bool // to make room within maxPerUser
	// maxCandidates is what a search may examine, and an audit keep in mind; 0 as in Config.
	maxCandidates int
	remembered    *deletions.Remembered // nil if no deletion is remembered
	ends          *deletions.Ends       // nil if no end is remembered
	// endsFor is what SetEndsFor was told; nil before.
	endsFor         atomic.Pointer[func(session.ID) (time.Duration, bool)]
	acks            *acknowledging // nil if no replica is waited for
	log             *slog.Logger
	swept           atomic.Uint64
	backlog         atomic.Int64
	evicted         atomic.Uint64
	auditEvery      time.Duration
	backgroundAudit backgroundAudit
	redeleted       atomic.Uint64
	upstream        *upstream // nil if there is none
}

// tripTimeout bounds a round trip: a little less than the second that a request
// has, so that a caller who finds none under way can make its own.
const tripTimeout = 900 * time.Millisecond

// searchesQueued is how many commands of searches may wait for their trip: one
// search has up to 250 of them, and a few hundred searches run at a time.
const searchesQueued = 64 << 10

// defaultStaleness is that of Config.NearStaleness.
const defaultStaleness = time.Second

// defaultRevokeWait is that of Config.RevokeWaitTimeout.
const defaultRevokeWait = 100 * time.Millisecond

// Open connects: it makes sure that the server is of the kind that the client is
// for, records the number of shards or compares it with the recorded one, loads
// the scripts, and reads the server's clock, which it answers a *ForbiddenError
// for if it may not. It starts no goroutine; Run does the background work. Its
// error is session.ErrUnavailable if a later try may succeed.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Prefix == "" {
		c.Prefix = keys.DefaultPrefix
	}
	s := &Store{
		rdb: c.Redis, costly: c.Costly, clock: c.Clock, log: c.Logger,
		maxSessions: c.MaxSessions, maxPerUser: c.MaxSessionsPerUser, evictOldest: c.EvictOldest, maxCandidates: c.MaxCandidates, auditEvery: c.AuditEvery,
	}
	if s.costly == nil {
		s.costly = c.Redis
	}
	if c.Searches == nil {
		c.Searches = c.Redis
	}
	s.upstream = newUpstream(c.Upstream, func() session.Time { return s.clock() })
	s.replicas = c.Replicas
	for _, rdb := range []redis.UniversalClient{c.Redis, c.Searches, s.costly, c.Replicas} { // one that is there twice counts once
		batch.CountTripsOf(rdb)
	}
	s.searches, s.writes = newTrips(c.Searches, searchesQueued/2), newTrips(c.Redis, 0)
	if s.log == nil {
		s.log = slog.Default()
	}
	s.gets, s.searchReads, s.costlyReads = newReads(c.Redis, 0), newReads(c.Searches, searchesQueued/2), newReads(s.costly, 0)
	s.remembered, s.acks = deletions.NewRemembered(c.RememberDeletions), newAcknowledging(c.Redis, c.RevokeWaitReplicas, c.RevokeWaitTimeout, s.log)
	s.ends = deletions.NewEnds(c.RememberDeletions)
	if err := CheckKind(ctx, s.rdb, c.Prefix); err != nil {
		return nil, err
	}
	shards, err := agreeOnShards(ctx, s.rdb, c.Prefix, c.Shards)
	if err != nil {
		return nil, err
	}
	if s.keys, err = keys.NewSpace(c.Prefix, shards); err != nil {
		return nil, err
	}
	if s.upstream != nil && c.Upstream.Tie != nil {
		s.upstream.ties = ties.New(ties.Config{
			Find: c.Upstream.Tie, Timeout: c.Upstream.Timeout + 2*tripTimeout, Keys: s.keys, Reads: s.gets, Writes: s.writes, Clock: s.Now,
		})
	}
	if c.MaxSessions > 0 && shards > 1 {
		return nil, errors.New("a limit on stored sessions needs a store of one shard")
	}
	if c.NearBytes > 0 {
		s.near = near.New(near.Config{
			Redis: c.Redis, Searches: c.Searches, ClientName: c.ClientName, Keys: s.keys,
			MaxBytes: c.NearBytes, Bound: cmp.Or(c.NearStaleness, defaultStaleness), StaleFor: c.StaleIfError,
			Clock: s.Now, ByKey: c.NearByKey, Read: s.readCopy, ReadByToken: s.getByForeignToken, ReadEnds: s.readEnds, Ends: c.JWTs, Lists: s.searchReads, Logger: s.log,
		})
	}
	indexConfig := index.Config{Redis: c.Redis, Searches: c.Searches, Trips: s.searches, Lists: s.readLists, Costly: c.Costly, Replicas: c.Replicas, Keys: s.keys, Resolve: s.resolve, MaxCandidates: c.MaxCandidates}
	if s.near != nil {
		indexConfig.Users = s.near.List
	}
	s.index = index.New(indexConfig)
	if err := redisinfo.EachMaster(ctx, s.rdb, s.loadScripts); err != nil {
		return nil, unavailable(err)
	}
	if s.clock == nil {
		s.follow = redisclock.New(s.log)
		s.clock = s.follow.Now
		for range 3 {
			if err := s.follow.Measure(ctx, s.rdb); acl.Forbidden(err) {
				return nil, &ForbiddenError{Command: "TIME", Why: "the store's clock is Redis'", Err: err}
			} else if err != nil {
				return nil, unavailable(err)
			}
		}
	}
	if s.near != nil { // last, for from now on the clients are watched
		if err := s.near.Watch(ctx); err != nil {
			return nil, unavailable(err)
		}
	}
	return s, nil
}

// loadScripts loads all scripts on a server in one trip, and asks whether it supports waiting for replicas. A user who may
// not SCRIPT does without: a script that EVALSHA does not find is sent by EVAL, which leaves it there.
//
// It does not call redis.Script's Load, which makes the server's reply the hash of the script in this whole process: one
// server that names a script otherwise would have every other server asked for the wrong hash.
func (s *Store) loadScripts(ctx context.Context, master redis.UniversalClient) error {
	s.acks.probe(ctx, master)
	_, err := master.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, text := range slices.Concat([]string{putLua, deleteLua, admitLua, endLua, outdateLua}, index.Scripts(), audit.Scripts()) {
			pipe.ScriptLoad(ctx, text)
		}
		return nil
	})
	if acl.Forbidden(err) {
		return nil
	}
	return err
}

// Close waits for the round trips under way. It must be called when nothing
// uses the store any more, and before its clients are closed. (I7)
func (s *Store) Close() error {
	s.upstream.close()
	s.gets.Close()
	s.searches.Close()
	s.searchReads.Close()
	s.costlyReads.Close()
	s.writes.Close()
	s.acks.close()
	return nil
}

// Now is the store's clock: Redis' time, however wrong this machine's is. (I1)
func (s *Store) Now() session.Time { return s.clock() }

// Shards returns P, the number of shards.
func (s *Store) Shards() int { return s.keys.Shards() }

// Ping says whether Redis answers. On a Cluster one master is enough: calls
// that need one that is away fail, and the sessions of the others are served.
func (s *Store) Ping(ctx context.Context) error {
	err := redisinfo.EachMaster(ctx, s.rdb, func(ctx context.Context, master redis.UniversalClient) error { return master.Ping(ctx).Err() })
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Expiries says how many sessions live by the store's clock, and how soon they end (I1). Redis counts them, on a Cluster on
// every master; if one is away the error is session.ErrUnavailable.
func (s *Store) Expiries(ctx context.Context) (*index.Expiries, error) {
	e, err := s.index.Expiries(ctx, s.clock())
	if err != nil {
		return nil, unavailable(err)
	}
	return e, nil
}

// Search returns the page that q asks for, as index.Query.Match defines it. A
// search that is too costly gets an *index.TooCostlyError. What it
// may read, q.Reads says; copies while these may be used, as Get.
func (s *Store) Search(ctx context.Context, q *index.Query) (*index.Page, error) {
	return s.SearchAs(ctx, q, nil)
}

// Page returns the page that SearchAs kept under this key, if the same search would find
// the same now, from copies alone.
func (s *Store) Page(key []byte) (*index.Page, bool) {
	page, candidates, ok := s.near.Page(textIn(key))
	if ok {
		s.index.CountCopy(candidates)
	}
	return page, ok
}

// SearchAs is Search, and keeps the page for Page if it comes from copies alone. The key
// names the search and must not name another one; an empty key keeps nothing.
func (s *Store) SearchAs(ctx context.Context, q *index.Query, key []byte) (*index.Page, error) {
	if s.near != nil && q.Reads.Copies() {
		if answer, usable := s.near.Begin(); usable {
			if len(key) > 0 && q.Cursor == nil {
				with := *q
				with.Evidence = index.NewEvidence()
				q = &with
			}
			page, err := s.index.Search(ctx, q, s.clock())
			if answer.Holds() {
				if err != nil {
					return nil, unavailable(err)
				}
				if q.Evidence != nil {
					answer.Keep(string(key), page, q.Evidence)
				}
				return page, nil
			}
			if err == nil {
				page.Release()
			}
			q.Explain.Did(index.StepAnew)
		}
		// Copies may not be used now, or were not proven to be fresh until the
		// answer was complete. (I4)
		without := *q
		without.Reads, without.Evidence = q.Reads.WithoutCopies(), nil
		q = &without
	}
	page, err := s.index.Search(ctx, q, s.clock())
	if err != nil {
		return nil, unavailable(err)
	}
	return page, nil
}

// Explanation says how a search was answered, or refused.
type Explanation struct {
	index.Explanation
	// RoundTrips is how many round trips to Redis it took: to each master that was asked,
	// also those that it shared with other callers.
	RoundTrips int64
	// Took is how long it took.
	Took time.Duration
}

// Explain is SearchAs, and says what it did, also if it fails. The page may be one that is
// kept under the key; it keeps none itself.
func (s *Store) Explain(ctx context.Context, q *index.Query, key []byte) (*index.Page, *Explanation, error) {
	began := time.Now()
	if page, candidates, ok := s.near.Page(textIn(key)); ok {
		s.index.CountCopy(candidates)
		return page, &Explanation{Explanation: *s.index.ExplainKept(q, page, candidates), Took: time.Since(began)}, nil
	}
	ctx, trips := batch.CountTrips(ctx)
	defer trips.End()
	e, with := new(Explanation), *q
	with.Explain = &e.Explanation
	page, err := s.SearchAs(ctx, &with, nil)
	e.RoundTrips, e.Took = trips.N(), time.Since(began)
	return page, e, err
}

// unavailable marks an error of Redis, the network or the context as such, and
// leaves those alone that have a meaning of their own. (I2)
func unavailable(err error) error {
	var costly *index.TooCostlyError
	var invalid *session.InvalidError
	if errors.Is(err, session.ErrUnavailable) || errors.As(err, &costly) || errors.As(err, &invalid) {
		return err
	}
	return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
}

// SearchStats returns what is known of the searches of this process. One that
// copies could not answer after all, and that began anew, counts twice.
func (s *Store) SearchStats() index.SearchStats { return s.index.Stats() }

// BatchStats is what is known of the round trips that concurrent calls of one
// kind share.
type BatchStats struct {
	// Batch is the kind: reads, searches, writes, or the deletions that wait for
	// replicas.
	Batch string
	batch.Stats
}

// BatchStats returns what is known of the round trips that are shared, by kind,
// always in the same order.
func (s *Store) BatchStats() []BatchStats {
	var deletions batch.Stats
	if s.acks != nil {
		deletions = s.acks.trips.Stats()
	}
	return []BatchStats{{"reads", s.gets.Stats()}, {"searches", s.searches.Stats().Plus(s.searchReads.Stats()).Plus(s.costlyReads.Stats())}, {"writes", s.writes.Stats()}, {"deletions", deletions}}
}
