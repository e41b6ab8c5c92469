// Package index answers which sessions match a search. It names the entries of
// every session in Redis' sorted sets (Card), plans a Query over them, pages
// with exact totals, and sweeps away what has expired. It reads documents only
// through the Resolve function that its caller gives it, and knows nothing of
// caches or HTTP.
//
// Reads run no Lua, never write, and touch at most 250 elements of a set with
// one command. (I10)
//
// Operating range: millions of sessions per shard, pages of up to some
// thousand, searches that examine up to Config.MaxCandidates sessions.
package index

import (
	"context"
	"hash/maphash"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

const (
	// chunk is the most elements that one read command touches, and the most
	// documents that are resolved at once. (I10)
	chunk = zlist.Chunk
	// DefaultMaxCandidates is how many sessions a search may examine unless configured.
	DefaultMaxCandidates = 20_000
)

// Resolve returns the stored sessions of the given candidates, in their order,
// nil for one that has none. It may return sessions that are due. Their
// Version and EntryTag may be missing. It is asked for at most 250 at a time.
type Resolve func(ctx context.Context, candidates []Candidate, how How) ([]*session.Stored, error)

// How says how to resolve.
type How struct {
	// Costly says that a costly search asks, which must not hold up others.
	Costly bool
	// Reads is what may be read; replicas only if it is Costly.
	Reads Reads
	// Memory is where sessions may be read into that nobody keeps; nil has none.
	Memory *session.Memory
	// Evidence notes the copies that are used.
	Evidence *Evidence
	// Explain is told where the sessions come from (Read).
	Explain *Explanation
}

// Users returns the whole list of a user's sessions, oldest first, each once,
// or says that it does not have it. The list is not changed by anybody. e notes what it
// is taken from.
type Users func(ctx context.Context, user string, e *Evidence) (list []Candidate, ok bool, err error)

// Trips makes round trips that concurrent callers share: Do of a *batch.Batcher
// or a *batch.Cluster.
type Trips interface {
	Do(ctx context.Context, cmds ...redis.Cmder) error
}

// Lists reads the members of lists whose scores are from least to most, as ZRANGE
// takes those, at most limit of each, in one round trip that concurrent callers share.
// whole is false if one of them has that many: then there may be more.
//
// In the same round trip it may read the sessions with these IDs: then read has what is stored
// for each, nil where nothing is. What it returns is in memory.
type Lists func(ctx context.Context, lists []string, least, most string, limit int, ids []session.ID, memory *session.Memory) (members []string, whole bool, read []*session.Stored, err error)

// Config configures an Index. Redis, Trips, Lists, Keys and Resolve are required.
type Config struct {
	Redis redis.UniversalClient
	// Searches serves searches, so that they take no connection from others; nil
	// uses Redis.
	Searches redis.UniversalClient
	// Trips is what searches that are not costly share their round trips on.
	Trips Trips
	// Lists reads the lists of searches that few sessions may match.
	Lists Lists
	// Costly serves costly searches, so that they take no connection from the
	// others; nil uses Redis.
	Costly redis.UniversalClient
	// Replicas serves, in place of Costly, those costly searches that examine
	// candidates and may read replicas; it may lag. nil has none.
	Replicas redis.UniversalClient
	Keys     *keys.Space
	Resolve  Resolve
	// Users knows lists of users; nil knows none. It is asked only by searches
	// that may read copies.
	Users Users
	// MaxCandidates is how many sessions a search may examine; 0 means
	// DefaultMaxCandidates.
	MaxCandidates int
}

// Index finds sessions. It is safe for concurrent use.
type Index struct {
	rdb           redis.UniversalClient
	searchRdb     redis.UniversalClient
	costlyRdb     redis.UniversalClient
	replicasRdb   redis.UniversalClient
	trips         Trips
	lists         Lists
	keys          *keys.Space
	resolve       Resolve
	users         Users
	maxCandidates int
	costly        *limiter
	counts        searchCounts
	guesses       guesses
}

// New returns an Index. It connects to nothing and starts nothing.
func New(c Config) *Index {
	ix := &Index{
		rdb:           c.Redis,
		searchRdb:     c.Searches,
		costlyRdb:     c.Costly,
		replicasRdb:   c.Replicas,
		trips:         c.Trips,
		lists:         c.Lists,
		keys:          c.Keys,
		resolve:       c.Resolve,
		users:         c.Users,
		maxCandidates: c.MaxCandidates,
		costly:        newLimiter(),
		guesses:       guesses{seed: maphash.MakeSeed()},
	}
	if ix.searchRdb == nil {
		ix.searchRdb = c.Redis
	}
	if ix.costlyRdb == nil {
		ix.costlyRdb = c.Redis
	}
	if ix.replicasRdb == nil {
		ix.replicasRdb = ix.costlyRdb
	}
	if ix.maxCandidates == 0 {
		ix.maxCandidates = DefaultMaxCandidates
	}
	return ix
}
