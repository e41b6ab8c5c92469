// Package peers has the ordinary ways to keep sessions that Cloakroom is measured against: Redis
// by one script call a search, by a plain client, by one with its own cache, and PostgreSQL in the
// shape of ZITADEL's tables; and of the ordinary gates that say whether a JWT is good. All answer through the same HTTP server. Look here when you doubt that
// one of them is used well.
package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// ErrNotFound says that there is no session with an ID.
var ErrNotFound = errors.New("no such session")

// Peer answers from a Store. It is safe for concurrent use.
type Peer interface {
	// Search finds a user's sessions that were created at a date or later, the newest first.
	Search(ctx context.Context, user string, since time.Time) (Found, error)
	// Get returns a session as JSON. It fails with ErrNotFound if there is none with that ID.
	Get(ctx context.Context, id string) (string, error)
	Close()
}

// Found is what a search finds.
type Found struct {
	Total    int      // how many sessions match
	Sessions []string // those that are returned, each as JSON
}

// Store is where peers keep the sessions.
type Store interface {
	// Seed stores a dataset, unless it is there already, and shows its progress on stderr.
	Seed(ctx context.Context, d scenario.Dataset, stderr io.Writer) error
	// Bytes is how much the store takes for all that it has.
	Bytes(ctx context.Context) (int64, error)
	Close()
}

// URLs say where the stores are.
type URLs struct{ Redis, Postgres string }

const postgresName = "postgres"

var all = []struct {
	name string
	open func(ctx context.Context, urls URLs) (Peer, error)
}{
	{"evalsha", openEvalsha},
	{"go-redis", openGoRedis},
	{"rueidis", openRueidis},
	{"rueidis-cached", openCachedRueidis},
	{postgresName, openPostgres},
}

// Names are the names of all peers.
func Names() []string {
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}
	return names
}

// Is reports whether there is a peer with that name.
func Is(name string) bool { return slices.Contains(Names(), name) }

// OnPostgres reports whether the peer with that name keeps its sessions in PostgreSQL; the others do in Redis.
func OnPostgres(name string) bool { return name == postgresName }

// Open opens the peer with that name. No error has a URL.
func Open(ctx context.Context, name string, urls URLs) (Peer, error) {
	for _, p := range all {
		if p.name == name {
			return p.open(ctx, urls)
		}
	}
	return nil, fmt.Errorf("unknown peer %q: %s", name, strings.Join(Names(), ", "))
}

// OpenStore opens the store of the peer with that name. No error has a URL.
func OpenStore(ctx context.Context, name string, urls URLs) (Store, error) {
	if OnPostgres(name) {
		return OpenPostgresStore(ctx, urls.Postgres)
	}
	return OpenRedisStore(urls.Redis)
}
