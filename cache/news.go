package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// newsEvery is how often the record of the news is read.
	newsEvery = 500 * time.Millisecond
	// newsFor is how long it stays when nobody writes it any more.
	newsFor = time.Hour
	// outdatedAtOnce is how many sessions of a user are outdated at a time.
	outdatedAtOnce = 16
)

// News says which changes at the system of record are known to have been applied to what is stored here: all that were
// made there after From and before Proven. So a copy that was checked after From is as good as one that was
// checked at Proven. It is one value in Redis, for all processes. Each value is true for itself, so it does
// no harm if two write it in turns.
type News struct {
	From, Proven session.Time
	// Since is where the search for later changes begins, by the clock of the system of record.
	Since session.Time
	// Server tells the Redis that the changes were applied to from one that takes its place, and may lack some of
	// them.
	Server string
}

func (n *News) String() string {
	return fmt.Sprintf("%d %d %d %s", n.From, n.Proven, n.Since, n.Server)
}

// parseNews reads what String wrote.
func parseNews(text string) (*News, error) {
	n := &News{}
	if _, err := fmt.Sscanf(text, "%d %d %d %s", &n.From, &n.Proven, &n.Since, &n.Server); err != nil {
		return nil, fmt.Errorf("the record of the news is damaged: %w", err)
	}
	return n, nil
}

// good returns the latest instant at which a copy is known to have been right.
func (n *News) good(checked session.Time) session.Time {
	if n == nil || checked < n.From {
		return checked
	}
	return max(checked, n.Proven)
}

// News returns what is recorded of the news, nil if nothing is.
func (s *Store) News(ctx context.Context) (*News, error) {
	text, err := s.rdb.Get(ctx, s.keys.News()).Result()
	if errors.Is(err, redis.Nil) {
		s.upstream.news.Store(nil)
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	n, err := parseNews(text)
	if err != nil {
		return nil, unavailable(err)
	}
	s.upstream.news.Store(n)
	return n, nil
}

// LastNews returns the News that this process has seen last, nil if there are none. It asks nobody.
func (s *Store) LastNews() *News {
	if s.upstream == nil {
		return nil
	}
	return s.upstream.news.Load()
}

// ProveNews records news. After session.ErrUnavailable they may or may not be recorded.
func (s *Store) ProveNews(ctx context.Context, n News) error {
	if err := s.rdb.Set(ctx, s.keys.News(), n.String(), newsFor).Err(); err != nil {
		return unavailable(err)
	}
	s.upstream.news.Store(&n)
	return nil
}

// NewsServer returns the News.Server of the Redis that is asked now. Where that does not say who it is, all are the same.
func (s *Store) NewsServer(ctx context.Context) (string, error) {
	history, err := redisinfo.History(ctx, s.rdb)
	if _, refused := errors.AsType[redis.Error](err); refused {
		return "unknown", nil
	}
	if err != nil {
		return "", unavailable(err)
	}
	hash := sha256.Sum256([]byte(history))
	return hex.EncodeToString(hash[:8]), nil
}

// LeadNews says whether this process is the one that is to ask for news, for the given time from now on. It only saves work: two that do
// make no wrong result.
func (s *Store) LeadNews(ctx context.Context, lasts time.Duration) (bool, error) {
	key, who := s.keys.NewsLease(), s.upstream.name
	err := s.rdb.SetArgs(ctx, key, who, redis.SetArgs{Mode: "NX", TTL: lasts}).Err()
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, redis.Nil) {
		return false, unavailable(err)
	}
	holder, err := s.rdb.Get(ctx, key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, unavailable(err)
	}
	if holder != who || errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err := s.rdb.SetArgs(ctx, key, who, redis.SetArgs{Mode: "XX", TTL: lasts}).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return false, unavailable(err)
	}
	return true, nil
}

// EndNewsLead lets another process lead at once, if this one does. If another takes over between the look and the deletion, a third
// may lead besides it for a while, which makes no wrong result.
func (s *Store) EndNewsLead(ctx context.Context) error {
	key := s.keys.NewsLease()
	holder, err := s.rdb.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) || err == nil && holder != s.upstream.name {
		return nil
	}
	if err == nil {
		err = s.rdb.Del(ctx, key).Err()
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// UpstreamStatus is what Redis has of the copies, for people.
type UpstreamStatus struct {
	// News are the recorded ones, nil if there are none; Age is how long ago they ended. Here says that they are of this Redis.
	News *News
	Age  time.Duration
	Here bool
	// Leader names the process that asks for news, "" if none does.
	Leader string
	// Stored are the sessions in Redis, Due those of them that have ended.
	Stored, Due int64
}

// UpstreamStatus reads it.
func (s *Store) UpstreamStatus(ctx context.Context) (*UpstreamStatus, error) {
	got := &UpstreamStatus{}
	var err error
	if got.News, err = s.News(ctx); err != nil {
		return nil, err
	}
	server, err := s.NewsServer(ctx)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	if got.News != nil {
		got.Here, got.Age = got.News.Server == server, now.Sub(got.News.Proven)
	}
	if got.Leader, err = s.rdb.Get(ctx, s.keys.NewsLease()).Result(); err != nil && !errors.Is(err, redis.Nil) {
		return nil, unavailable(err)
	}
	for shard := range s.keys.Shards() {
		n, err := s.rdb.ZCard(ctx, s.keys.Created(shard)).Result()
		if err != nil {
			return nil, unavailable(err)
		}
		got.Stored += n
	}
	if got.Due, err = s.index.Backlog(ctx, now); err != nil {
		return nil, unavailable(err)
	}
	return got, nil
}

// followNews reads the record of the news.
func (s *Store) followNews(ctx context.Context) error {
	_, err := s.News(ctx)
	return err
}

// Changed says that a session has changed: Outdate, unless what is stored is of this sequence or a later one. A copy that was in use is asked
// for again at once.
func (s *Store) Changed(ctx context.Context, id session.ID, sequence uint64) error {
	old, err := s.readFresh(ctx, id)
	if err != nil && !errors.Is(err, ErrUnreadable) {
		return err
	}
	if old != nil && sequence > 0 && old.Sequence >= sequence {
		return nil // whoever read it has seen the change
	}
	if err := s.Outdate(ctx, id); err != nil {
		return err
	}
	if old != nil && !old.Due(s.clock()) {
		s.askAhead(id)
	}
	return nil
}

// LearnTie keeps which session an OIDC session is part of, so that nobody has to ask for it.
func (s *Store) LearnTie(ctx context.Context, oidcSession string, tie session.Tie) error {
	if s.upstream.ties == nil {
		return nil
	}
	return s.upstream.ties.Learn(ctx, oidcSession, tie)
}

// OutdateUser outdates all copies of a user's sessions, as Outdate does: of what changes with the user, they have no event of their
// own. A question about one of them that is under way, and not stored yet, is not among them.
func (s *Store) OutdateUser(ctx context.Context, userID string) error {
	q := &index.Query{Sees: index.Sees{All: true}, Predicates: []index.Predicate{index.ByUser(userID)}}
	err := s.index.Walk(ctx, q, s.clock(), func(ctx context.Context, chunk *index.WalkChunk) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(outdatedAtOnce)
		for _, c := range chunk.Candidates {
			group.Go(func() error { return s.Outdate(ctx, c.ID) })
		}
		return group.Wait() // I7
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}
