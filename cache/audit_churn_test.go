package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// Audits beside writers, deletes and sweeps find nothing, as nothing is wrong.
func TestI5_AuditFindsNothingWhileOthersWrite(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		s := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		ctx, stop := context.WithCancel(t.Context())
		var auditors sync.WaitGroup
		audits := make([]int, 2)
		for i := range audits {
			auditors.Go(func() {
				for ctx.Err() == nil {
					_, found, err := s.audited(ctx, s.Store, i == 1)
					if len(found) > 0 || err != nil && ctx.Err() == nil {
						t.Errorf("repair %v: found %v, %v", i == 1, found, err)
						return
					}
					audits[i]++
				}
			})
		}
		storetest.Churn(t, s.subject(), 80)
		stop()
		auditors.Wait()
		if min(audits[0], audits[1]) < 2 {
			t.Errorf("%v audits only", audits)
		}
		s.audit(t, false)
		s.clock.Advance(2 * time.Minute)
		s.sweep(t)
		s.audit(t, true)
	})
}

// vandal damages random entries. It removes no hash.
type vandal struct {
	*testStore
	rng *rand.Rand
	ids []session.ID
}

// damage does one thing to the lists.
func (v *vandal) damage(ctx context.Context) error {
	all, err := readLists(ctx, v.client)
	if err != nil {
		return err
	}
	id := v.ids[v.rng.IntN(len(v.ids))]
	switch v.rng.IntN(6) {
	case 0: // an entry of a list of a session
		return v.client.Do(ctx, "zadd", v.someList(), v.rng.IntN(1000), string(id)).Err()
	case 1:
		return v.client.Do(ctx, "zadd", v.someList(), v.rng.IntN(1000), string(id)+"\x00"+fmt.Sprintf("%08d", v.rng.IntN(1e8))).Err()
	case 2:
		return v.client.Do(ctx, "zadd", v.keys.Catalogue(v.keys.ShardOf(id)), "+inf", card(v.testStore, func(c *index.Card) { c.ID = id })).Err()
	}
	for e := range all.entries { // in no order
		switch {
		case strings.HasPrefix(e.key, "cr:p:"):
		case v.rng.IntN(3) == 0:
			score := "8000000000000000" // a card with a score that is due takes its session with it
			return v.client.Do(ctx, "zadd", e.key, score, e.member).Err()
		default:
			return v.client.ZRem(ctx, e.key, e.member).Err()
		}
	}
	return nil
}

func (v *vandal) someList() string {
	name := fmt.Sprint("u", v.rng.IntN(3))
	switch v.rng.IntN(5) {
	case 0:
		return v.keys.Created(v.rng.IntN(v.keys.Shards()))
	case 1:
		return v.keys.Creator(v.rng.IntN(v.keys.Shards()), name)
	case 2:
		return v.keys.Agent(name)
	case 3:
		return v.keys.Token(session.HashToken(name))
	}
	return v.keys.User(name)
}

// drawn makes a session of a few users, creators and agents.
func drawn(rng *rand.Rand, id session.ID, now session.Time) *session.Session {
	name := func() string { return fmt.Sprint("u", rng.IntN(3)) }
	s := storetest.New(id, now, storetest.Created(now-session.Time(rng.IntN(100))), storetest.Expires(session.Never), storetest.Creator(name()))
	if rng.IntN(3) > 0 {
		storetest.User(name(), "o")(s)
	}
	if rng.IntN(3) > 0 {
		storetest.Agent(name())(s)
	}
	if rng.IntN(3) == 0 {
		storetest.ForeignToken(name())(s)
	}
	return s
}

func drawnIDs(n int) (ids []session.ID) {
	for i := range n {
		ids = append(ids, session.ID(fmt.Sprint("s", i)))
	}
	return ids
}

// The audit finds something if and only if the brute-force audit of the tests
// does, after any damage, and a repair ends that.
func TestI5_AuditAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) { checkAudit(t, startRedis(t), shards, 25) })
}

func checkAudit(t *testing.T, client redis.UniversalClient, shards, seeds int) {
	t.Helper()
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := openEmpty(t, client, shards, storetest.Limits{})
		v := &vandal{s, rng, drawnIDs(20)}
		for _, id := range v.ids[:15] {
			if err := s.Put(t.Context(), drawn(rng, id, s.Now()), nil); err != nil {
				t.Fatal(err)
			}
		}
		for range rng.IntN(4) * rng.IntN(4) {
			if err := v.damage(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r, found, err := s.audited(t.Context(), s.Store, false)
		faults := s.faultsOf(t, s.live(t), true)
		if err != nil || (len(faults) == 0) != r.Clean() {
			t.Fatalf("seed %d: found %v, %v; by brute force:\n%s", seed, found, err, strings.Join(faults, "\n"))
		}
		if r, found, err := s.audited(t.Context(), s.Store, true); err != nil || !r.Clean() {
			t.Fatalf("seed %d: repaired %v, %+v, %v", seed, found, r, err)
		}
		s.sweep(t)
		s.audit(t, true)
		if live := s.live(t); len(live) != 15 {
			t.Fatalf("seed %d: %d sessions live, want 15", seed, len(live))
		}
	}
}

// Repairs while others damage, create, replace and delete: no session that lives
// is lost, and one more repair, when the damage has ended, leaves nothing.
func TestI5_RepairWhileOthersWriteAndDamage(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		for seed := range uint64(1) {
			s := openEmpty(t, client, shards, storetest.Limits{})
			const writers, each = 3, 30
			ids := drawnIDs(writers * each)
			lives := make([]map[session.ID]uint64, writers) // sequences that were acknowledged
			ctx, stop := context.WithCancel(t.Context())
			var group sync.WaitGroup
			for w := range writers {
				lives[w] = make(map[session.ID]uint64)
				group.Go(func() {
					writeAmidDamage(ctx, t, s, rand.New(rand.NewPCG(seed, uint64(w))), ids[w*each:(w+1)*each], lives[w])
				})
			}
			v := &vandal{s, rand.New(rand.NewPCG(seed, 99)), ids}
			for i := range 40 {
				if err := v.damage(t.Context()); err != nil {
					t.Fatal(err)
				}
				if i%10 == 9 {
					if _, _, err := s.audited(t.Context(), s.Store, true); err != nil {
						t.Fatal(err)
					}
				}
			}
			stop()
			group.Wait()
			if r, found, err := s.audited(t.Context(), s.Store, true); err != nil || !r.Clean() {
				t.Fatalf("seed %d: repaired %v, %+v, %v", seed, found, r, err)
			}
			s.clock.Advance(2 * time.Minute)
			s.sweep(t)
			if r, found, err := s.audited(t.Context(), s.Store, false); err != nil || !r.Clean() {
				t.Fatalf("seed %d: found %v, %+v, %v", seed, found, r, err)
			}
			s.audit(t, true)
			for w := range writers {
				for id, sequence := range lives[w] {
					if got, err := s.GetFresh(t.Context(), id); err != nil || got.Sequence != sequence {
						t.Errorf("seed %d: session %s: %+v, %v, want sequence %d", seed, id, got, err, sequence)
					}
				}
			}
		}
	})
}

// writeAmidDamage creates, replaces and deletes its own sessions until ctx ends,
// and keeps which live. What damage keeps it from is not done.
func writeAmidDamage(ctx context.Context, t *testing.T, s *testStore, rng *rand.Rand, ids []session.ID, lives map[session.ID]uint64) {
	sequence := uint64(0)
	for ctx.Err() == nil {
		id := ids[rng.IntN(len(ids))]
		old, err := s.GetFresh(t.Context(), id)
		if err == nil && rng.IntN(3) == 0 {
			if _, err = s.Delete(t.Context(), old, "churn"); err == nil {
				delete(lives, id)
			}
		} else if err == nil || errors.Is(err, session.ErrNotFound) {
			sequence += 2
			next := drawn(rng, id, s.Now())
			if next.Sequence = sequence; old != nil && rng.IntN(2) == 0 { // it may keep its entries
				next.CreationDate = old.Creation
			}
			if err = s.Put(t.Context(), next, old); err == nil {
				lives[id] = sequence
			}
		}
		if err != nil && !answered(err) {
			t.Errorf("session %s: %v", id, err)
			return
		}
	}
}

// The same on a Cluster, where each master has its own keys to scan, its own
// scripts, and its own shards.
func TestI5_AuditOnACluster(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	checkAudit(t, client, 0, 5)
}
