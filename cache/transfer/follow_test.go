package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// piped is an export that follows changes, into an import.
type piped struct {
	t        *testing.T
	stopping context.CancelFunc
	ended    sync.WaitGroup
	exported *Exported
	imported *Imported
	errs     [2]error

	mu       sync.Mutex
	caughtUp time.Time
}

// Flush is Sink's.
func (w pipeSink) Flush() error { return nil }

type pipeSink struct{ *io.PipeWriter }

// pipe keeps b as a is, until stop is called. over reads from a.
func pipe(t *testing.T, a, b *store, over redis.UniversalClient, change ...func(*ExportConfig)) *piped {
	t.Helper()
	c := ExportConfig{Redis: over, Prefix: a.prefix, Follow: true, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	p := &piped{t: t}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p.stopping = cancel
	r, w := io.Pipe()
	p.ended.Go(func() {
		c.To = pipeSink{w}
		p.exported, p.errs[0] = Export(ctx, c)
		_ = w.CloseWithError(p.errs[0])
	})
	p.ended.Go(func() {
		c := b.importConfig(t, "")
		c.From = r
		c.Progress = func(i ImportProgress) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.caughtUp = i.CaughtUp
		}
		p.imported, p.errs[1] = Import(context.WithoutCancel(t.Context()), c)
		_ = r.CloseWithError(errors.New("the import has ended"))
	})
	t.Cleanup(func() {
		cancel()
		p.ended.Wait()
	})
	return p
}

// caught waits until all that has happened in a until now is in b.
func (p *piped) caught(a *store) {
	p.t.Helper()
	now := a.Now().Std()
	eventually.Holds(p.t, "catching up", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.caughtUp.After(now)
	})
}

// stop ends the export, and with it the import; both must end well.
func (p *piped) stop() {
	p.t.Helper()
	p.stopping()
	p.ended.Wait()
	for _, err := range p.errs {
		if err != nil {
			p.t.Error(err)
		}
	}
}

// churn stores, changes, deletes and ends at random.
func (s *store) churn(t *testing.T, seed uint64, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 4))
	for i := range n {
		id := session.ID(fmt.Sprint("churn", seed, "-", r.IntN(50)))
		now := s.Now()
		old, err := s.GetFresh(t.Context(), id)
		switch next := r.IntN(10); {
		case errors.Is(err, session.ErrNotFound):
			err = s.Put(t.Context(), &session.Session{ID: id, CreationDate: now, ChangeDate: now, Sequence: uint64(now), ExpirationDate: now.Add(time.Hour), Creator: fmt.Sprint("c", r.IntN(3))}, nil)
		case err != nil:
		case next < 6:
			it, _ := session.ParseDoc(old.Doc)
			it.Sequence, it.ChangeDate, it.Creator = old.Sequence+1, now, old.Creator
			it.Metadata = map[string][]byte{"i": fmt.Append(nil, i)}
			_, it.Token = session.NewToken(id)
			err = s.Put(t.Context(), it, old)
		case next < 8:
			_, err = s.Delete(t.Context(), old, "deleted")
		default:
			_, err = s.End(t.Context(), session.EndOfUser(fmt.Sprint(r.IntN(20))), session.End{NotAfter: now, Until: now.Add(time.Hour)})
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// A store that another follows is the same a moment after each change, whatever it was.
func TestFollow_KeepsAnotherStoreTheSame(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 4)
	a.fill(t, 1, 300)
	p := pipe(t, a, b, rdb)
	a.churn(t, 1, 300) // some of it before all is exported
	p.caught(a)
	same(t, a, b)
	for n := range 3 {
		a.churn(t, uint64(n), 200)
		p.caught(a)
		same(t, a, b)
	}
	p.stop()
	if p.exported.Passes != 1 || p.imported.Failed > 0 {
		t.Errorf("exported %+v, imported %+v", p.exported, p.imported)
	}
}

// A change is at the other end at once, though no mark comes.
func TestFollow_DoesNotWaitForMarks(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 1)
	a.fill(t, 1, 10)
	p := pipe(t, a, b, rdb, func(c *ExportConfig) { c.marks = time.Hour })
	equal := func() bool { return len(differ(a.has(t), b.has(t))) == 0 }
	eventually.Holds(t, "everything at the other end", equal)
	a.delete(t, firstOf(t, a))
	eventually.Holds(t, "deletion at the other end", equal)
	p.stop()
}

func firstOf(t *testing.T, s *store) session.ID {
	t.Helper()
	for name := range s.has(t) {
		if id, ok := strings.CutPrefix(name, "session "); ok {
			return session.ID(id)
		}
	}
	t.Fatal("no session")
	return ""
}

// Where the connection for changes is cut, or the whole of Redis is away for a while, nothing is missed.
func TestFollow_MissesNothingWhenLinksAreCut(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client(t)
	proxy := redistest.NewProxy(t, server.Addr)
	over := server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr })
	a, b := open(t, rdb, "a:", 2), open(t, rdb, "b:", 1)
	a.fill(t, 1, 200)
	p := pipe(t, a, b, over)
	p.caught(a)
	for n := range 4 {
		a.churn(t, uint64(n), 50)
		proxy.CutAll()
		a.churn(t, uint64(n), 50)
	}
	p.caught(a)
	same(t, a, b)
	p.stop()
	if p.exported.Passes < 2 {
		t.Errorf("everything was exported %d times, though links were cut", p.exported.Passes)
	}
}

// Two stores that follow each other are the same when nobody writes, whoever wrote where, and nothing goes to and fro.
func TestFollow_TwoStoresFollowEachOther(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 4)
	a.fill(t, 1, 100)
	b.fill(t, 2, 100)
	there, back := pipe(t, a, b, rdb), pipe(t, b, a, rdb)
	var both sync.WaitGroup
	both.Go(func() { a.churn(t, 11, 200) })
	both.Go(func() { b.churn(t, 12, 200) })
	both.Wait()
	settle := func() {
		for range 2 { // there, and back again
			there.caught(a)
			back.caught(b)
		}
	}
	settle()
	same(t, a, b)
	// Both change the same sessions.
	both.Go(func() { a.churnAlone(13, 150) })
	both.Go(func() { b.churnAlone(13, 150) })
	both.Wait()
	settle()
	equalSessions(t, a, b)
	// Nothing is written any more.
	before := fmt.Sprint(a.versions(t), b.versions(t))
	settle()
	if after := fmt.Sprint(a.versions(t), b.versions(t)); after != before {
		t.Error("the stores go on writing to each other")
	}
	there.stop()
	back.stop()
}

// churnAlone changes and deletes sessions that somebody else changes, too.
func (s *store) churnAlone(seed uint64, n int) {
	r := rand.New(rand.NewPCG(seed, uint64(len(s.prefix)+s.Shards())))
	for i := range n {
		id := session.ID(fmt.Sprint("common", r.IntN(10)))
		ctx, now := context.Background(), s.Now()
		old, err := s.GetFresh(ctx, id)
		if err == nil && r.IntN(8) == 0 {
			_, _ = s.Delete(ctx, old, "deleted")
			continue
		}
		it := &session.Session{ID: id, CreationDate: 1, ChangeDate: now, Sequence: 1, ExpirationDate: session.Never, Creator: fmt.Sprint(s.prefix, i)}
		if old != nil {
			it.Sequence = old.Sequence + 1
		}
		_ = s.Put(ctx, it, old) // that somebody was faster is no matter
	}
}

// equalSessions fails the test unless both stores have the same sessions.
func equalSessions(t *testing.T, a, b *store) {
	t.Helper()
	here, there := a.has(t), b.has(t)
	for _, name := range differ(here, there) {
		if strings.HasPrefix(name, "session ") {
			t.Errorf("%s: here %+v, there %+v", name, here[name], there[name])
		}
	}
	a.fits(t)
	b.fits(t)
}

// An export that follows changes ends with an error when nobody takes its lines.
func TestFollow_EndsWithItsReader(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 1)
	a.fill(t, 1, 10)
	r, w := io.Pipe()
	broken := errors.New("broken pipe")
	_ = r.CloseWithError(broken)
	if _, err := Export(t.Context(), ExportConfig{Redis: rdb, Prefix: "a:", To: pipeSink{w}, Follow: true}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// A Cluster is exported and followed as a whole, and while slots move.
func TestFollow_OnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	single := redistest.Start(t).Client(t)
	rdb := cluster.Client(t)
	a, b, c := open(t, rdb, "a:", 32), open(t, single, "b:", 1), open(t, rdb, "c:", 8)
	a.fill(t, 1, 300)
	p, q := pipe(t, a, b, rdb), pipe(t, b, c, single)
	p.caught(a)
	same(t, a, b)
	a.churn(t, 1, 200)
	p.caught(a)
	q.caught(b)
	same(t, a, b)
	same(t, b, c)
	slot := cluster.SlotOf(a.keys.Never(3))
	from := cluster.Master(slot)
	for _, to := range cluster.Masters() {
		if to != from {
			m := cluster.Migrate(slot, to)
			a.churn(t, 2, 50)
			m.Finish()
			break
		}
	}
	a.churn(t, 3, 100)
	p.caught(a)
	q.caught(b)
	same(t, a, b)
	same(t, b, c)
	q.stop()
	p.stop()
}
