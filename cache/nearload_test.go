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
	"github.com/cloakroom-dev/cloakroom/internal/keys"
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
	refused        atomic.Uint64
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
	ctx, cancel := context.WithCancel(t.Context())
	for _, p := range []*nearProcess{l.writer, l.reader} {
		group.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	l.reader.await("the near cache is usable", l.reader.usable)
	group.Go(func() { l.read(ctx) })
	l.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(l.stop)
	l.used()
	return l
}

// read reads all sessions again and again, and users' lists in between.
func (l *loaded) read(ctx context.Context) {
	const burst = 40
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i = (i + 1) % len(l.sessions) {
		if i%burst == 0 { // something is left of the machine for the others
			<-tick.C
		}
		asked := l.now()
		l.check(i, asked, l.get(ctx, i))
		if i%10 != 0 {
			continue
		}
		asked = l.now()
		user := i / 10 % loadUsers
		askCtx, cancel := context.WithTimeout(ctx, time.Second)
		page, err := l.reader.Search(askCtx, &index.Query{
			Predicates: []index.Predicate{index.ByUser(fmt.Sprint("u", user))}, Sees: index.Sees{All: true}, Limit: 2000,
		})
		cancel()
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

// get asks for a session as a request does.
func (l *loaded) get(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := l.reader.Get(ctx, l.id(i))
	return err
}

// erase deletes a session as a request does.
func (l *loaded) erase(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	old, err := l.writer.GetFresh(ctx, l.id(i))
	if err == nil {
		_, err = l.writer.Delete(ctx, old, "test")
	}
	return err
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
			err := l.erase(ctx, i)
			if err == nil || errors.Is(err, session.ErrNotFound) {
				break
			}
			if ctx.Err() != nil {
				l.t.Fatalf("session %d cannot be deleted: %v", i, err)
			}
		}
		l.sessions[i].deleted.Store(l.now())
		for {
			if errors.Is(l.get(ctx, i), session.ErrNotFound) {
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

func loadCluster(t *testing.T, c *redistest.Cluster, sessions int) *loaded {
	t.Helper()
	return startLoad(t, func() redis.UniversalClient { return c.Client(t) }, 32, sessions)
}

// Slots move under load, to masters that are followed and to one that was not.
func TestI4_SlotsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{Masters: 4})
		space, err := keys.NewSpace(keys.DefaultPrefix, 32)
		if err != nil {
			t.Fatal(err)
		}
		for shard := 24; shard < 32; shard++ { // nothing of ours is on the last master
			c.Migrate(c.SlotOf(space.Never(shard)), c.Nodes[0]).End()
		}
		l := loadCluster(t, c, 640)
		move := func(shard int, to *redistest.Node, links int) {
			t.Helper()
			m := c.Migrate(c.SlotOf(space.Never(shard)), to)
			for m.Move(5) > 0 {
			}
			m.End()
			l.delete(2)
			l.reader.await("the new masters are followed", func() bool { return l.reader.NearStats().Links == links && l.reader.usable() })
		}
		move(0, c.Nodes[1], 3)
		move(31, c.Nodes[1], 3)
		move(5, c.Nodes[3], 4)
		move(20, c.Nodes[3], 4)
		move(0, c.Nodes[0], 4)
		l.finish()
	})
}

// A master dies under load, comes back as a replica, steps up again in agreement.
func TestI4_MastersFailUnderLoad(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		l := loadCluster(t, c, 320)
		slot := l.reader.slotOf(c, l.id(0))
		old := c.Master(slot)
		l.delete(5)
		c.WaitSynced()
		old.Kill()
		c.WaitPromoted(slot, old)
		l.delete(5)
		l.used()
		old.Restart()
		c.WaitReady()
		c.Failover(slot)
		l.delete(5)
		l.finish()
	})
}

// A master stands still under load, is replaced, and goes on as if nothing had been.
func TestI4_MasterStandsStillUnderLoad(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		c := redistest.StartCluster(t, redistest.ClusterConfig{})
		l := loadCluster(t, c, 320)
		slot := l.reader.slotOf(c, l.id(0))
		old := c.Master(slot)
		c.WaitSynced()
		old.Pause()
		c.WaitPromoted(slot, old)
		l.delete(5)
		old.Resume()
		l.delete(5)
		l.used()
		c.WaitReady()
		l.finish()
	})
}

// Sentinels replace a master that stands still. When it goes on, it believes to
// be the master still, until they tell it: nobody may believe it.
func TestI4_SentinelsReplaceAMasterUnderLoad(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		s := redistest.StartSentinels(t, redistest.SentinelConfig{})
		l := startLoad(t, func() redis.UniversalClient { return s.Client(t) }, 1, 320)
		old := s.Master()
		l.delete(5)
		s.WaitSynced()
		old.Pause()
		s.WaitPromoted(old)
		l.delete(5)
		old.Resume()
		l.delete(20)
		l.used()
		s.WaitReady()
		l.finish()
	})
}

// The same for a master that dies.
func TestI4_SentinelsReplaceADeadMasterUnderLoad(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		s := redistest.StartSentinels(t, redistest.SentinelConfig{})
		l := startLoad(t, func() redis.UniversalClient { return s.Client(t) }, 1, 320)
		old := s.Master()
		s.WaitSynced()
		old.Kill()
		s.WaitPromoted(old)
		l.delete(5)
		l.finish()
	})
}
