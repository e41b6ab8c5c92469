package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

// audit checks what stands in Redis against the sessions that live. (I5)
func (s *testStore) audit(t rapid.TB, swept bool) {
	t.Helper()
	s.auditOf(t, s.live(t), swept)
}

// live reads every session that has a hash and lives.
func (s *testStore) live(t rapid.TB) (live []*session.Stored) {
	t.Helper()
	hashes, err := allKeys(context.Background(), s.client, s.keys.Prefix()+"s:*")
	if err != nil {
		t.Fatal(err)
	}
	found := make([]*session.Stored, len(hashes))
	var group errgroup.Group
	group.SetLimit(32) // which share round trips
	for i, key := range hashes {
		group.Go(func() (err error) {
			_, id, _ := strings.Cut(key, "}:")
			if found[i], err = s.Get(context.Background(), session.ID(id)); errors.Is(err, session.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(stored *session.Stored) bool { return stored == nil })
}

// auditOf checks, by reading all keys, that every live session has its hash,
// exactly one card and all its entries, each with its score. If swept, nothing
// else may be there but tombstones and the settings.
func (s *testStore) auditOf(t rapid.TB, live []*session.Stored, swept bool) {
	t.Helper()
	if faults := s.faultsOf(t, live, swept); len(faults) > 0 {
		t.Fatalf("P=%d, %d faults:\n%s", s.keys.Shards(), len(faults), strings.Join(faults[:min(len(faults), 12)], "\n"))
	}
}

// faultsOf returns what auditOf finds.
func (s *testStore) faultsOf(t rapid.TB, live []*session.Stored, swept bool) (faults []string) {
	t.Helper()
	got, err := readLists(context.Background(), s.client)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[entry]float64)
	lives := make(map[session.ID]bool)
	hashes := make(map[string]bool)
	tags, err := s.tagsOf(context.Background(), live)
	if err != nil {
		t.Fatal(err)
	}
	for i, stored := range live {
		lives[stored.ID] = true
		hashes[s.keys.Session(stored.ID)] = true
		for e, score := range s.entries(stored, tags[i]) {
			want[e] = score
		}
	}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for e, score := range want {
		if have, ok := got.entries[e]; !ok || have != score {
			fault("the entry %q of %q is missing, or has the score %v, not %v", e.member, e.key, have, score)
		}
	}
	for key := range hashes {
		if !got.others[key] {
			fault("the hash %q is missing", key)
		}
	}
	for e := range got.entries {
		_, wanted := want[e]
		switch {
		case wanted:
		case swept:
			fault("the entry %q of %q is left over", e.member, e.key)
		case lives[s.sessionOf(e)] && (s.keys.Shards() == 1 || isLocal(s.keys, e.key)):
			// Entries in the session's own shard change with it.
			fault("the entry %q of %q is not the live session's", e.member, e.key)
		}
	}
	for key := range got.others {
		kind, _, _, _, _ := s.keys.Spelled(key)
		if swept && !hashes[key] && key != s.keys.Meta() && kind != 'd' && kind != keys.KindEnd {
			fault("the key %q is left over", key)
		}
	}
	slices.Sort(faults)
	return faults
}

// entry is a member of a sorted set.
type entry struct{ key, member string }

type lists struct {
	entries map[entry]float64
	others  map[string]bool // keys of other types
}

// eachServer does something with the server, or with every master of a Cluster, one after the other.
func eachServer(ctx context.Context, client redis.UniversalClient, do func(ctx context.Context, server *redis.Client) error) error {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return do(ctx, client.(*redis.Client))
	}
	var mu sync.Mutex
	return cluster.ForEachMaster(ctx, func(ctx context.Context, server *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return do(ctx, server)
	})
}

// allKeys finds all keys of a pattern.
func allKeys(ctx context.Context, client redis.UniversalClient, pattern string) (all []string, err error) {
	err = eachServer(ctx, client, func(ctx context.Context, server *redis.Client) error {
		iter := server.Scan(ctx, 0, pattern, 1000).Iterator()
		for iter.Next(ctx) {
			all = append(all, iter.Val())
		}
		return iter.Err()
	})
	return all, err
}

// readLists reads all keys of the server.
func readLists(ctx context.Context, client redis.UniversalClient) (*lists, error) {
	l := &lists{entries: make(map[entry]float64), others: make(map[string]bool)}
	all, err := allKeys(ctx, client, "*")
	if err != nil {
		return nil, err
	}
	pipe := client.Pipeline()
	replies := make([]*redis.ZSliceCmd, len(all))
	for i, key := range all {
		replies[i] = pipe.ZRangeWithScores(ctx, key, 0, -1)
	}
	_, _ = pipe.Exec(ctx) // each reply has its error
	for i, key := range all {
		members, err := replies[i].Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			l.others[key] = true
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, z := range members {
			l.entries[entry{key, z.Member.(string)}] = z.Score
		}
	}
	return l, nil
}

// tagsOf reads the tags of sessions; "" is none.
func (s *testStore) tagsOf(ctx context.Context, sessions []*session.Stored) ([]string, error) {
	pipe := s.client.Pipeline()
	replies := make([]*redis.StringCmd, len(sessions))
	for i, stored := range sessions {
		replies[i] = pipe.HGet(ctx, s.keys.Session(stored.ID), "tag")
	}
	_, _ = pipe.Exec(ctx) // each reply has its error
	tags := make([]string, len(sessions))
	for i, reply := range replies {
		var err error
		if tags[i], err = reply.Result(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
	}
	return tags, nil
}

// entriesOf spells out the entries that a session must have.
func (s *testStore) entriesOf(ctx context.Context, stored *session.Stored) (map[entry]float64, error) {
	tags, err := s.tagsOf(ctx, []*session.Stored{stored})
	if err != nil {
		return nil, err
	}
	return s.entries(stored, tags[0]), nil
}

// entries spells out the entries that a session with this tag must have.
func (s *testStore) entries(stored *session.Stored, tag string) map[entry]float64 {
	card := index.Card{ID: stored.ID, Creation: stored.Creation, UserID: stored.UserID, AgentID: stored.AgentID, Creator: stored.Creator, Tag: tag}
	if stored.TokenForeign {
		card.Token = stored.Token
	}
	own, creation := s.keys.ShardOf(stored.ID), float64(stored.Creation)
	ends := float64(stored.Expiration)
	if stored.Expiration >= session.MaxScore {
		ends = math.Inf(1)
	}
	member := string(stored.ID)
	entries := map[entry]float64{
		{s.keys.Created(own), member}:        creation,
		{s.keys.Catalogue(own), card.Pack()}: ends,
	}
	if stored.Creator != "" {
		entries[entry{s.keys.Creator(own, stored.Creator), member}] = creation
	}
	if s.keys.Shards() > 1 {
		member += "\x00" + tag
	}
	if stored.UserID != "" {
		entries[entry{s.keys.User(stored.UserID), member}] = creation
	}
	if stored.AgentID != "" {
		entries[entry{s.keys.Agent(stored.AgentID), member}] = creation
	}
	if stored.TokenForeign {
		entries[entry{s.keys.Token(stored.Token), member}] = creation
	}
	return entries
}

// sessionOf returns whose entry e is.
func (s *testStore) sessionOf(e entry) session.ID {
	if strings.HasPrefix(e.key, s.keys.Prefix()+"x:") {
		card, err := index.UnpackCard(e.member)
		if err != nil {
			return ""
		}
		return card.ID
	}
	id, _, _ := strings.Cut(e.member, "\x00")
	return session.ID(id)
}

// isLocal says whether a list is in the shard of the sessions that it holds.
func isLocal(k *keys.Space, key string) bool {
	kind := strings.TrimPrefix(key, k.Prefix())
	return strings.HasPrefix(kind, "t:") || strings.HasPrefix(kind, "c:") || strings.HasPrefix(kind, "x:")
}
