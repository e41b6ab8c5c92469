package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// auditor reads all of a Redis and says whether it is exact: every live session has its hash, one card and all its
// entries, each with its score, and nothing else is there. (I5) It knows the layout by itself, so that it shares no fault
// with what it checks.
type auditor struct {
	client redis.UniversalClient
	store  *cache.Store
	keys   *keys.Space
}

func newAuditor(t testing.TB, client redis.UniversalClient, shards int) *auditor {
	t.Helper()
	space, err := keys.NewSpace(keys.DefaultPrefix, shards)
	if err != nil {
		t.Fatal(err)
	}
	store, err := cache.Open(context.Background(), cache.Config{Redis: client, Shards: shards, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &auditor{client: client, store: store, keys: space}
}

type entry struct{ key, member string }

// exact waits until everything is exact, for what has ended is cleared in the background, and returns the number of live
// sessions. Nothing must write any more. leftover allows what nothing names.
func (a *auditor) exact(t testing.TB, leftover bool, patience time.Duration) (live int) {
	t.Helper()
	var faults []string
	if !eventually.Within(patience, func() bool {
		live, faults = a.look(leftover)
		return len(faults) == 0
	}) {
		slices.Sort(faults)
		t.Errorf("%d faults of the index (I5):\n%s", len(faults), strings.Join(faults[:min(len(faults), 12)], "\n"))
	}
	return live
}

// clean wants the store's own audit to find nothing; with repair, to have mended all.
func (a *auditor) clean(t testing.TB, repair bool) {
	t.Helper()
	var found []string
	r, err := a.store.Audit(context.Background(), cache.AuditConfig{Repair: repair, Found: func(f *audit.Finding) {
		found = append(found, fmt.Sprintf("%s of %s in %s: %v", f.Drift, f.ID, f.Where, f.Outcome))
	}})
	if err != nil || !r.Clean() {
		t.Errorf("the audit is not clean: %v; it found %d:\n%s", err, len(found), strings.Join(found[:min(len(found), 12)], "\n"))
	}
}

// age makes what writes that were cut off have left behind a minute older, so that nobody has to wait for it.
func (a *auditor) age(t testing.TB) {
	t.Helper()
	for shard := range a.keys.Shards() {
		pending := a.keys.Pending(shard)
		notes, err := a.client.ZRangeWithScores(context.Background(), pending, 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range notes {
			z.Score -= float64(time.Minute.Microseconds())
			if err := a.client.ZAddXX(context.Background(), pending, z).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (a *auditor) look(leftover bool) (live int, faults []string) {
	ctx := context.Background()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	have, others, err := a.read(ctx)
	if err != nil {
		return 0, []string{err.Error()}
	}
	want := map[entry]float64{}
	for key := range others {
		rest, isHash := strings.CutPrefix(key, a.keys.Prefix()+"s:")
		if !isHash {
			if key != a.keys.Meta() {
				fault("the key %q is left over", key)
			}
			continue
		}
		_, id, _ := strings.Cut(rest, "}:")
		if err := a.entries(ctx, session.ID(id), want); err != nil {
			fault("%s: %v", key, err)
			continue
		}
		live++
	}
	for e, score := range want {
		if got, ok := have[e]; !ok || got != score {
			fault("the entry %q of %q is missing, or has the score %v, not %v", e.member, e.key, got, score)
		}
	}
	for e := range have {
		if _, ok := want[e]; !ok && !leftover {
			fault("the entry %q of %q is left over", e.member, e.key)
		}
	}
	return live, faults
}

// read reads all lists, and the names of all other keys.
func (a *auditor) read(ctx context.Context) (lists map[entry]float64, others map[string]bool, err error) {
	lists, others = map[entry]float64{}, map[string]bool{}
	names, err := a.names(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range names {
		if strings.HasPrefix(key, a.keys.Prefix()+"d:") { // tombstones are many
			continue
		}
		members, err := a.client.ZRangeWithScores(ctx, key, 0, -1).Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			others[key] = true
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		for _, z := range members {
			lists[entry{key, z.Member.(string)}] = z.Score
		}
	}
	return lists, others, nil
}

// names returns all keys; on a Cluster those of all masters.
func (a *auditor) names(ctx context.Context) (all []string, err error) {
	var mu sync.Mutex
	scan := func(ctx context.Context, master redis.Cmdable) error {
		iter := master.Scan(ctx, 0, "*", 1000).Iterator()
		for iter.Next(ctx) {
			mu.Lock()
			all = append(all, iter.Val())
			mu.Unlock()
		}
		return iter.Err()
	}
	if cluster, ok := a.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return scan(ctx, master) })
		return all, err
	}
	return all, scan(ctx, a.client)
}

// entries adds those that a session must have.
func (a *auditor) entries(ctx context.Context, id session.ID, to map[entry]float64) error {
	s, err := a.store.Get(ctx, id)
	if err != nil {
		return err
	}
	tag, err := a.client.HGet(ctx, a.keys.Session(id), "tag").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	card := index.Card{ID: s.ID, Creation: s.Creation, UserID: s.UserID, AgentID: s.AgentID, Creator: s.Creator, Tag: tag}
	shard, creation, ends, member := a.keys.ShardOf(id), float64(s.Creation), float64(s.Expiration), string(id)
	if s.Expiration >= session.MaxScore {
		ends = math.Inf(1)
	}
	to[entry{a.keys.Created(shard), member}] = creation
	to[entry{a.keys.Catalogue(shard), card.Pack()}] = ends
	to[entry{a.keys.Creator(shard, s.Creator), member}] = creation
	if a.keys.Shards() > 1 {
		member += "\x00" + tag
	}
	to[entry{a.keys.User(s.UserID), member}] = creation
	to[entry{a.keys.Agent(s.AgentID), member}] = creation
	return nil
}
