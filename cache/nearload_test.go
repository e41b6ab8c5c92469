package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// loaded are two processes on one Redis, in real time: one deletes, the other
// reads by its near cache, and everything that it answers is checked.
//
//	I4: a session whose deletion had succeeded longer than the bound before it
//	was asked for is not answered. Both instants are taken on the safe side, so
//	that a slow machine can make the check no stricter than the promise.
//	I2: a session that nobody has begun to delete is never said not to be.
type loaded struct {
	t              *testing.T
	writer, reader *nearProcess
	start          time.Time
	sessions       []watched
	next           int // session to be deleted
	hits, refused  atomic.Uint64
	stop           func()
}

// watched is what is known of a session: ns since the start, 0 for not yet.
type watched struct{ begun, deleted atomic.Int64 }

const loadUsers = 20

func (l *loaded) id(i int) session.ID { return session.ID(fmt.Sprintf("%018d", i)) }
func (l *loaded) now() int64          { return int64(time.Since(l.start)) }

// startLoad stores sessions and begins to read them. connect makes a process' client.
func startLoad(t *testing.T, connect func() redis.UniversalClient, shards, sessions int) *loaded {
	t.Helper()
	l := &loaded{t: t, start: time.Now(), sessions: make([]watched, sessions)}
	open := func() *nearProcess {
		return openLiveNear(t, Config{Redis: connect(), Shards: shards, NearBytes: 16 << 20, NearStaleness: testBound})
	}
	l.writer, l.reader = open(), open()
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := w; i < sessions; i += 8 {
				if err := l.writer.Put(t.Context(), sessionOf(string(l.id(i)), fmt.Sprint("u", i%loadUsers), 1), nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	l.reader.run()
	l.reader.await("the near cache is usable", l.reader.usable)
	ctx, cancel := context.WithCancel(t.Context())
	group.Go(func() { l.read(ctx) })
	l.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(l.stop)
	l.used()
	return l
}

// read reads all sessions again and again, and users' lists in between.
func (l *loaded) read(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i = (i + 1) % len(l.sessions) {
		asked := l.now()
		_, err := l.reader.Get(ctx, l.id(i))
		l.check(i, asked, err)
		if i%10 != 0 {
			continue
		}
		asked = l.now()
		user := i / 10 % loadUsers
		page, err := l.reader.Search(ctx, &index.Query{
			Predicates: []index.Predicate{index.ByUser(fmt.Sprint("u", user))}, Sees: index.Sees{All: true}, Limit: 2000,
		})
		if err != nil {
			l.check(0, asked, err)
			continue
		}
		found := map[session.ID]bool{}
		for _, s := range page.Sessions {
			found[s.ID] = true
		}
		for k := user; k < len(l.sessions); k += loadUsers {
			err = session.ErrNotFound
			if found[l.id(k)] {
				err = nil
			}
			l.check(k, asked, err)
		}
	}
}

// check checks what has been answered about a session.
func (l *loaded) check(i int, asked int64, err error) {
	s := &l.sessions[i]
	switch {
	case err == nil:
		if deleted := s.deleted.Load(); deleted != 0 && asked-deleted > int64(testBound) {
			l.t.Errorf("I4: session %d is answered %v after it was deleted", i, time.Duration(asked-deleted))
		}
	case errors.Is(err, session.ErrNotFound):
		if s.begun.Load() == 0 {
			l.t.Errorf("I2: session %d is not found, and nobody has deleted it", i)
		}
	case !errors.Is(err, session.ErrUnavailable):
		l.t.Errorf("got %v", err)
	default:
		l.refused.Add(1)
	}
}

// used waits until copies are used.
func (l *loaded) used() {
	l.t.Helper()
	before := l.reader.NearStats().Sessions.Hits
	l.reader.await("copies are used", func() bool { return l.reader.NearStats().Sessions.Hits > before })
}

// delete deletes so many sessions, each as often as it takes, and waits for each
// until the other process refuses it.
func (l *loaded) delete(n int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 60*time.Second)
	defer cancel()
	for ; n > 0; n-- {
		i := l.next
		l.next++
		l.sessions[i].begun.Store(max(l.now(), 1))
		for {
			old, err := l.writer.GetFresh(ctx, l.id(i))
			if err == nil {
				_, err = l.writer.Delete(ctx, old, "test")
			}
			if err == nil || errors.Is(err, session.ErrNotFound) {
				break
			}
			if ctx.Err() != nil {
				l.t.Fatalf("session %d can not be deleted: %v", i, err)
			}
		}
		l.sessions[i].deleted.Store(l.now())
		for {
			if _, err := l.reader.Get(ctx, l.id(i)); errors.Is(err, session.ErrNotFound) {
				break
			}
			if ctx.Err() != nil {
				l.t.Fatalf("session %d is not refused", i)
			}
		}
	}
}

// finish ends the load when copies are used again.
func (l *loaded) finish() {
	l.t.Helper()
	l.used()
	l.delete(5)
	l.stop()
	s := l.reader.NearStats()
	l.t.Logf("%d deletions, %d reads refused, near cache: %d hits, %d misses, %d flushes, links lost %d times",
		l.next, l.refused.Load(), s.Sessions.Hits, s.Sessions.Misses, s.Flushes, s.LinksLost)
}

// replicated waits until every master's replica has all that was written.
func (l *loaded) replicated(c *redistest.Cluster) {
	l.t.Helper()
	for _, m := range c.Masters() {
		// WAIT is for what its own connection has written.
		client := m.Client(l.t, func(o *redis.Options) { o.PoolSize = 1 })
		if err := client.ConfigSet(l.t.Context(), "repl-timeout", "60").Err(); err != nil {
			l.t.Fatal(err)
		}
		if n, err := client.Wait(l.t.Context(), 1, 10*time.Second).Result(); n < 1 || err != nil {
			l.t.Fatalf("%d replicas have it: %v", n, err)
		}
	}
}

func loadCluster(t *testing.T, c *redistest.Cluster, sessions int) *loaded {
	t.Helper()
	return startLoad(t, func() redis.UniversalClient { return c.Client(t) }, 32, sessions)
}

// Slots move under load, to masters that are followed and to a new one, that was
// a replica of one of them.
func TestI4_SlotsMoveUnderLoad(t *testing.T) {
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	l := loadCluster(t, c, 640)
	fresh := c.Nodes[3] // becomes a master without slots
	fresh.Do("CLUSTER", "RESET", "SOFT")
	host, port, bus := fresh.Meet()
	c.Nodes[0].Do("CLUSTER", "MEET", host, port, bus)
	c.WaitKnown(fresh)
	move := func(shard int, to *redistest.Node) {
		m := c.Migrate(c.SlotOf(l.reader.keys.Never(shard)), to)
		for m.Move(5) > 0 {
		}
		m.End()
		l.delete(2)
	}
	move(0, c.Nodes[1])
	move(31, c.Nodes[1])
	l.used()
	move(5, fresh)
	move(20, fresh)
	l.used()
	if links := l.reader.NearStats().Links; links != 4 {
		t.Errorf("%d links, want 4", links)
	}
	move(0, c.Nodes[0])
	l.finish()
}

// A master dies under load, comes back as a replica, steps up again in agreement.
func TestI4_MastersFailUnderLoad(t *testing.T) {
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	l := loadCluster(t, c, 320)
	slot := l.reader.slotOf(c, l.id(0))
	old := c.Master(slot)
	l.delete(5)
	l.replicated(c)
	old.Kill()
	c.WaitPromoted(slot, old)
	l.delete(5)
	l.used()
	old.Restart()
	c.WaitReady()
	c.Failover(slot)
	l.delete(5)
	l.finish()
}

// A master stands still under load, is replaced, and goes on as if nothing had been.
func TestI4_MasterStandsStillUnderLoad(t *testing.T) {
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	l := loadCluster(t, c, 320)
	slot := l.reader.slotOf(c, l.id(0))
	old := c.Master(slot)
	l.replicated(c)
	old.Pause()
	c.WaitPromoted(slot, old)
	l.delete(5)
	old.Resume()
	l.delete(5)
	l.used()
	c.WaitReady()
	l.finish()
}
