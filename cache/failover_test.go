package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// pair is a master and its replica, with a proxy between the two, and clients
// that go to whichever is the master.
type pair struct {
	t               *testing.T
	master, replica *redistest.Server
	between         *redistest.Proxy
	addr            atomic.Pointer[string]
}

func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, master: redistest.Start(t, "repl-diskless-sync-delay 0", "repl-ping-replica-period 1")}
	p.between = redistest.NewProxy(t, p.master.Addr)
	host, port, _ := net.SplitHostPort(p.between.Addr)
	p.replica = redistest.Start(t, "replicaof "+host+" "+port)
	p.addr.Store(&p.master.Addr)
	p.synced()
	return p
}

// client returns a client that dials the master of the moment.
func (p *pair) client() *redis.Client {
	return p.master.Client(p.t, func(o *redis.Options) {
		o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, *p.addr.Load())
		}
	})
}

// synced waits until the replica has everything.
func (p *pair) synced() {
	p.t.Helper()
	client := p.client()
	eventually.Holds(p.t, "the replica has everything", func() bool {
		pipe := client.Pipeline()
		pipe.Set(p.t.Context(), "synced", 1, 0)
		n := pipe.Do(p.t.Context(), "wait", 1, 1000)
		if _, err := pipe.Exec(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		got, _ := n.Int()
		return got == 1
	})
}

// failOver kills the master and makes the replica the new one. What the proxy
// holds back is lost.
func (p *pair) failOver() {
	p.t.Helper()
	p.master.Kill()
	p.between.CutAll()
	if err := p.replica.Client(p.t).Do(p.t.Context(), "replicaof", "no", "one").Err(); err != nil {
		p.t.Fatal(err)
	}
	p.addr.Store(&p.replica.Addr)
}

// openFailover opens a store; it remembers, and waits for wanted replicas.
func openFailover(t *testing.T, rdb redis.UniversalClient, shards, remember, wanted int) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{
		Redis: rdb, Shards: shards, NearBytes: 16 << 20, RememberDeletions: remember, RevokeWaitReplicas: wanted,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// runStore runs a store until the test ends.
func runStore(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the store ended with %v", err)
		}
	})
}

// tokenFor gives s a token of ours, or one that somebody else made.
func tokenFor(s *session.Session, foreign bool) (*session.Session, string) {
	token, hash := session.NewToken(s.ID)
	if foreign {
		token = "foreign-" + string(s.ID)
		hash = session.HashToken(token)
	}
	s.Token, s.TokenForeign = hash, foreign
	return s, token
}

func mustPut(t *testing.T, s *Store, next *session.Session) {
	t.Helper()
	old, err := s.GetFresh(t.Context(), next.ID)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), next, old); err != nil {
		t.Fatal(err)
	}
}

func mustDelete(t *testing.T, s *Store, id session.ID) Deleted {
	t.Helper()
	old, err := s.GetFresh(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := s.Delete(t.Context(), old, "deleted")
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

// servedAs returns the ways in which a store serves a session: none if it is gone.
func servedAs(t *testing.T, s *Store, id session.ID, user, token string) (ways []string) {
	t.Helper()
	note := func(way string, stored *session.Stored, err error) {
		if err == nil && stored != nil {
			ways = append(ways, fmt.Sprintf("%s: sequence %d", way, stored.Sequence))
		} else if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: %v", way, err)
		}
	}
	stored, err := s.Get(t.Context(), id)
	note("Get", stored, err)
	stored, err = s.GetFresh(t.Context(), id)
	note("GetFresh", stored, err)
	stored, err = s.GetByToken(t.Context(), token)
	note("GetByToken", stored, err)
	stored, err = s.GetByTokenFresh(t.Context(), token)
	note("GetByTokenFresh", stored, err)
	if stored, ok := s.VerifyCopy(token); ok {
		note("VerifyCopy", stored, nil)
	}
	all := index.Sees{All: true}
	for way, q := range map[string]*index.Query{
		"everything":     {},
		"by user":        {Predicates: []index.Predicate{index.ByUser(user)}},
		"by ID":          {Predicates: []index.Predicate{index.ByIDs(id)}},
		"by user, fresh": {Predicates: []index.Predicate{index.ByUser(user)}, Reads: index.ReadMasters},
	} {
		q.Sees, q.Limit = all, 100
		page, err := s.Search(t.Context(), q)
		if err != nil {
			t.Errorf("search %s: %v", way, err)
			continue
		}
		for _, stored := range page.Sessions {
			if stored.ID == id {
				note("search "+way, stored, nil)
			}
		}
		if page.Total != uint64(len(page.Sessions)) {
			t.Errorf("search %s: a total of %d with %d sessions", way, page.Total, len(page.Sessions))
		}
	}
	counted, err := s.Revoke(t.Context(), Revocation{Query: &index.Query{Predicates: []index.Predicate{index.ByIDs(id)}, Sees: all}, DryRun: true})
	if counted > 0 || err != nil {
		ways = append(ways, fmt.Sprintf("Revoke: %d, %v", counted, err))
	}
	return ways
}

// A deletion that only the master had is lost with it. The process that made it
// does not serve the session for all that, and deletes it again, so that the
// others do not for long.
func TestI4_FailoverBringsNothingBack(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			p := startPair(t)
			mine, other := openFailover(t, p.client(), shards, 100, 1), openFailover(t, p.client(), shards, 0, 0)
			own, ownToken := tokenFor(sessionOf("own", "ada", 3), false)
			foreign, foreignToken := tokenFor(sessionOf("foreign", "ada", 3), true)
			for _, s := range []*session.Session{own, foreign, sessionOf("stays", "eve", 1)} {
				mustPut(t, mine, s)
			}
			p.synced()
			p.between.Stall(true)
			for _, id := range []session.ID{"own", "foreign"} {
				gone := mustDelete(t, mine, id)
				if gone.Wanted != 1 || gone.Replicas != 0 || !gone.Fewer() {
					t.Errorf("the replica hears nothing, but the deletion of %s is said to be on %d of %d", id, gone.Replicas, gone.Wanted)
				}
			}
			p.failOver()

			eventually.Holds(t, "another process meets the new master", func() bool {
				_, err := other.GetFresh(t.Context(), "own")
				return err == nil
			})
			for id, token := range map[session.ID]string{"own": ownToken, "foreign": foreignToken} {
				if ways := servedAs(t, mine, id, "ada", token); len(ways) > 0 {
					t.Errorf("session %s was deleted by this process and is served:\n%s", id, strings.Join(ways, "\n"))
				}
			}
			if _, err := mine.GetByToken(t.Context(), ownToken); !errors.Is(err, session.ErrRevoked) {
				t.Errorf("the token of a revoked session: %v", err)
			}
			if _, err := mine.Get(t.Context(), "stays"); err != nil {
				t.Errorf("a session that nobody deleted: %v", err)
			}
			// What its tombstone would refuse is refused, what it would not is not.
			if err := mine.Put(t.Context(), sessionOf("own", "ada", 4), nil); !errors.Is(err, session.ErrDeleted) {
				t.Errorf("a put with the deletion's sequence: %v", err)
			}
			if err := mine.Put(t.Context(), foreign, nil); !errors.Is(err, session.ErrDeleted) {
				t.Errorf("a put of the deleted version: %v", err)
			}
			mustPut(t, mine, sessionOf("own", "ada", 5))
			if got, err := mine.Get(t.Context(), "own"); err != nil || got.Sequence != 5 {
				t.Errorf("a session that was put again after it: %v", err)
			}

			runStore(t, mine)
			eventually.Holds(t, "it is deleted again, for all", func() bool {
				_, err := other.GetFresh(t.Context(), "foreign")
				return errors.Is(err, session.ErrNotFound)
			})
			if n := p.replica.Client(t).Exists(t.Context(), mine.keys.Tombstone("foreign")).Val(); n != 1 {
				t.Error("its tombstone is not there again")
			}
			if err := other.Put(t.Context(), foreign, nil); !errors.Is(err, session.ErrDeleted) {
				t.Errorf("another process may put it with the deleted sequence: %v", err)
			}
			for _, id := range []session.ID{"own", "stays"} {
				if _, err := other.GetFresh(t.Context(), id); err != nil {
					t.Errorf("session %s: %v", id, err)
				}
			}
			if got := mine.FailoverStats(); got.Resurrected == 0 || got.Unreplicated != 2 || got.Remembered == 0 {
				t.Errorf("the figures do not tell of it: %+v", got)
			}
		})
	}
}

// Nobody asks for the session after the failover: it is found all the same,
// because the server is another one.
func TestI4_FailoverIsNoticedWithoutReads(t *testing.T) {
	p := startPair(t)
	mine := openFailover(t, p.client(), 1, 100, 0)
	for i := range 300 {
		mustPut(t, mine, sessionOf(fmt.Sprint("s", i), "ada", 1))
	}
	p.synced()
	runStore(t, mine)
	p.between.Stall(true)
	for i := range 299 {
		mustDelete(t, mine, session.ID(fmt.Sprint("s", i)))
	}
	p.failOver()
	raw := p.replica.Client(t)
	// The first 199 were forgotten: no more than 100 are remembered.
	eventually.Holds(t, "100 sessions are deleted again", func() bool {
		return raw.ZCard(t.Context(), mine.keys.Created(0)).Val() == 200
	})
	// Each is counted when Redis has answered.
	eventually.Holds(t, "100 are counted", func() bool { return mine.FailoverStats().Resurrected == 100 })
}

// A process that only met the tombstone of a session remembers it, too: one
// that refused its token, and one that was asked to delete it.
func TestI4_DeletionsOfOthersAreRemembered(t *testing.T) {
	server := redistest.Start(t)
	deletes := openFailover(t, server.Client(t), 1, 0, 0)
	for name, meet := range map[string]func(s *Store, id session.ID, token string) error{
		"verify": func(s *Store, _ session.ID, token string) error {
			if _, err := s.GetByToken(t.Context(), token); !errors.Is(err, session.ErrRevoked) {
				return fmt.Errorf("verify: %w", err)
			}
			return nil
		},
		"delete": func(s *Store, id session.ID, _ string) error {
			_, err := s.ConfirmDeleted(t.Context(), id)
			return err
		},
	} {
		mine := openFailover(t, server.Client(t), 1, 100, 0)
		s, token := tokenFor(sessionOf(name, "ada", 7), false)
		mustPut(t, deletes, s)
		server.Client(t).Save(t.Context())
		mustDelete(t, deletes, s.ID)
		if err := meet(mine, s.ID, token); err != nil {
			t.Fatal(err)
		}
		server.Kill()
		server.Restart()
		if ways := servedAs(t, mine, s.ID, "ada", token); len(ways) > 0 {
			t.Errorf("%s: %v", name, ways)
		}
		if _, err := deletes.GetFresh(t.Context(), s.ID); err != nil {
			t.Errorf("%s: the snapshot did not bring it back: %v", name, err)
		}
	}
}

// Random puts and deletes by several processes, of which one remembers, while
// Redis is thrown back to older snapshots: that one never serves what it has
// deleted, and never refuses what may be there.
func TestI4_NoTimeMachineRevives(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			refused, revived := 0, 0
			for seed := range uint64(3) {
				a, b := timeMachine(t, shards, seed)
				refused, revived = refused+a, revived+b
			}
			if refused == 0 || revived == 0 {
				t.Errorf("this shows nothing: %d puts refused, %d times a session was in Redis again", refused, revived)
			}
		})
	}
}

func timeMachine(t *testing.T, shards int, seed uint64) (refused, revived int) {
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, uint64(shards)))
	server := redistest.Start(t)
	raw := server.Client(t)
	mine, other := openFailover(t, server.Client(t), shards, 1000, 0), openFailover(t, server.Client(t), shards, 0, 0)
	ids := []session.ID{"1", "2", "3", "4", "5"}
	deleted := map[session.ID]uint64{} // by mine
	tokenOf := func(id session.ID) string { return "token-" + string(id) }
	check := func() {
		t.Helper()
		for _, id := range ids {
			truth, err := other.GetFresh(t.Context(), id)
			if err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Fatal(err)
			}
			ways := servedAs(t, mine, id, "ada", tokenOf(id))
			switch good := truth != nil && truth.Sequence > deleted[id]; {
			case good && len(ways) < 9:
				t.Fatalf("session %s, sequence %d, deletion %d, is not served in every way, but only: %v", id, truth.Sequence, deleted[id], ways)
			case !good && len(ways) > 0:
				t.Fatalf("session %s, deletion %d, is served: %v", id, deleted[id], ways)
			}
			if truth != nil && truth.Sequence <= deleted[id] {
				revived++
			}
		}
	}
	for step := range 80 {
		id := ids[r.IntN(len(ids))]
		s := other
		if r.IntN(3) > 0 {
			s = mine
		}
		switch r.IntN(12) {
		case 0, 10:
			raw.Save(t.Context())
		case 1, 11: // back to the last snapshot, which may be of before everything
			server.Kill()
			server.Restart()
			eventually.Holds(t, "the clients are back", func() bool { return mine.Ping(t.Context()) == nil && other.Ping(t.Context()) == nil })
		case 2, 3, 4:
			old, err := s.GetFresh(t.Context(), id)
			if errors.Is(err, session.ErrNotFound) {
				continue
			}
			gone, err := s.Delete(t.Context(), old, "deleted")
			if err != nil {
				t.Fatal(err)
			}
			if s == mine {
				deleted[id] = max(deleted[id], gone.Sequence)
			}
		case 5:
			if err := mine.RedeleteReturned(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if truth, err := other.GetFresh(t.Context(), id); err == nil && truth.Sequence <= deleted[id] {
					t.Fatalf("session %s, deleted at %d, is still in Redis with %d", id, deleted[id], truth.Sequence)
				}
			}
		default:
			next := sessionOf(string(id), "ada", uint64(1+r.IntN(2+step/4)))
			next.Token, next.TokenForeign = session.HashToken(tokenOf(id)), true
			old, err := s.GetFresh(t.Context(), id)
			if err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Fatal(err)
			}
			if old != nil && old.Sequence > next.Sequence {
				continue
			}
			err = s.Put(t.Context(), next, old)
			if err != nil && !errors.Is(err, session.ErrDeleted) {
				t.Fatal(err)
			}
			if s == mine && next.Sequence <= deleted[id] && err == nil {
				t.Fatalf("a put of %s with %d is let in after the deletion with %d", id, next.Sequence, deleted[id])
			}
			if err != nil {
				refused++
			}
		}
		check()
	}
	return refused, revived
}
