package near

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"golang.org/x/time/rate"
)

// source is where loads are read. Where Redis tells of all changes, that is ordinary
// connections. Where it tells of the keys that were read over a link (Config.ByKey), it is
// the link: an answer and the news that it is outdated then come over one connection.
//
// A caller gets what a link has answered only while copies may be used: the link may lead
// to a master that was replaced, which ordinary connections would not ask. Else the caller
// reads over an ordinary connection, and keeps nothing.
type source struct {
	byKey bool
	space *keys.Space
	// links has what reads over the link of each shard's master; nil while there are none.
	links atomic.Pointer[[]*batch.LinkReads]
	// reads counts the reads over links that were answered, failed the others.
	reads, failed atomic.Uint64
	// absent are the reads over links that may still find nothing, see probes.
	absent *rate.Limiter
}

// Redis tracks a key that is not there, too, and as long as a connection lives. So who
// sends made-up IDs could fill its table, and have it forget the keys of what is held.
const (
	absentAtOnce    = 1000
	absentPerSecond = 1
)

// probes says that strangers' keys are to be read over an ordinary connection first, which
// is not tracked, and over a link only if something is there: too many were not.
func (s *source) probes() bool { return s.byKey && s.absent.Tokens() < 1 }

// foundNothing counts a read of a stranger's key over a link that found nothing.
func (s *source) foundNothing() {
	if s.byKey {
		s.absent.Allow()
	}
}

// loadTimeout bounds a round trip over a link, as those over ordinary connections are bounded.
const loadTimeout = 900 * time.Millisecond

// linkError says that a link has not answered.
type linkError struct{ err error }

func (e *linkError) Error() string { return e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }

func isLinkError(err error) bool {
	_, is := errors.AsType[*linkError](err)
	return is
}

var errNoLink = errors.New("there is no connection for invalidations")

// over returns what loads are to be read over, nil for ordinary connections.
func (s *source) over() batch.Doer {
	if s == nil || !s.byKey {
		return nil
	}
	return s
}

// Do implements batch.Doer, over the links. Its errors are *linkErrors.
func (s *source) Do(ctx context.Context, call *batch.Call) error {
	err := errNoLink
	if links := s.links.Load(); links != nil {
		err = batch.Spread(ctx, call, func(key string) (*batch.LinkReads, error) {
			shard := s.space.ShardOfKey(key)
			if shard < 0 || (*links)[shard] == nil {
				return nil, errNoLink
			}
			return (*links)[shard], nil
		})
	}
	if err != nil {
		s.failed.Add(1)
		return &linkError{err}
	}
	s.reads.Add(1)
	return nil
}

// follow has loads read over the links to these masters from now on.
func (s *source) follow(masters []*followedMaster) {
	if !s.byKey {
		return
	}
	links := make([]*batch.LinkReads, s.space.Shards())
	for _, m := range masters {
		m.reads = batch.NewLinkReads(m.conn, batch.Config{Timeout: loadTimeout})
		for shard := range links {
			if m.has(shard) {
				links[shard] = m.reads
			}
		}
	}
	s.links.Store(&links)
}

// leave ends what follow has begun. The links are closed.
func (s *source) leave(masters []*followedMaster) {
	s.links.Store(nil)
	for _, m := range masters {
		if m.reads != nil {
			m.reads.Close() // I7
		}
	}
}
