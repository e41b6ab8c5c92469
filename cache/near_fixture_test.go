package cache

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// testBound is the staleness bound of the tests' near caches, on a clock that
// only the test moves.
const testBound = time.Second

// nearProcess is a store with a near cache whose clock and timers a test holds
// in its hand, as if it were a process of its own.
type nearProcess struct {
	*Store
	t     *testing.T
	clock atomic.Int64

	mu     sync.Mutex
	timers map[chan time.Time]struct{}
	seen   map[string]int
	newest map[string]map[int]time.Duration // by event and master: when that question was sent
	news   chan struct{}                    // closed, and made anew, by every event
}

// eachTracking runs a test where Redis tells of all changes, and where it tells of those of
// keys that a process has read: with -short in one of the two.
func eachTracking(t *testing.T, test func(t *testing.T)) {
	hasTurn := testdepth.OneIn(t, 2)
	for i, name := range []string{"all changes", byKey} {
		if hasTurn(i) {
			t.Run(name, test)
		}
	}
}

// byKey names a test whose near caches have Redis track keys.
const byKey = "by key"

// isByKey says whether eachTracking runs t so.
func isByKey(t *testing.T) bool {
	return slices.Contains(strings.Split(t.Name(), "/"), strings.ReplaceAll(byKey, " ", "_"))
}

// startNear opens a store with a near cache on rdb and runs that. link may
// change where the connection for invalidations goes.
func startNear(t *testing.T, rdb redis.UniversalClient, shards int, link ...func(*redis.Options)) *nearProcess {
	t.Helper()
	p := openNear(t, Config{Redis: rdb, Shards: shards, NearBytes: 16 << 20, NearStaleness: testBound, JWTs: true}, link...)
	p.run()
	p.await("the near cache is usable", p.usable)
	return p
}

// openNear opens a store with a near cache for which time passes when the test
// says so.
func openNear(t *testing.T, c Config, link ...func(*redis.Options)) *nearProcess {
	t.Helper()
	p := openLiveNear(t, c, link...)
	p.near.Hook(near.Hooks{Tick: p.tick, Clock: func() time.Duration { return time.Duration(p.clock.Load()) }})
	return p
}

// openLiveNear opens one for which time passes by itself.
func openLiveNear(t *testing.T, c Config, link ...func(*redis.Options)) *nearProcess {
	t.Helper()
	p := &nearProcess{t: t, timers: map[chan time.Time]struct{}{}, seen: map[string]int{}, newest: map[string]map[int]time.Duration{}, news: make(chan struct{})}
	c.NearByKey = c.NearByKey || isByKey(t)
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p.Store = s
	s.near.Hook(near.Hooks{Saw: p.saw, Link: func(o *redis.Options) {
		for _, change := range link {
			change(o)
		}
	}})
	return p
}

// run runs the near cache until the test ends.
func (p *nearProcess) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.near.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("the near cache ended with %v", err)
		}
	})
}

// tick makes a timer that goes off when the test says so.
func (p *nearProcess) tick(time.Duration) (<-chan time.Time, func()) {
	c := make(chan time.Time, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timers[c] = struct{}{}
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.timers, c)
	}
}

// pass moves the clock on and lets every timer go off.
func (p *nearProcess) pass(d time.Duration) {
	p.clock.Add(int64(d))
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.timers {
		select {
		case c <- time.Time{}:
		default:
		}
	}
}

func (p *nearProcess) saw(e near.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[e.What]++
	if p.newest[e.What] == nil {
		p.newest[e.What] = map[int]time.Duration{}
	}
	p.newest[e.What][e.Master] = e.Sent
	close(p.news)
	p.news = make(chan struct{})
}

// count is how often something has happened.
func (p *nearProcess) count(event string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[event]
}

// await waits for events until something holds.
func (p *nearProcess) await(what string, holds func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for {
		p.mu.Lock()
		news := p.news
		p.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			p.t.Fatalf("waiting in vain: %s; the near cache says: %s", what, p.NearStats().State)
		}
	}
}

// during does something and waits for an event that comes of it.
func (p *nearProcess) during(event string, do func()) {
	p.t.Helper()
	before := p.count(event)
	do()
	p.await(event, func() bool { return p.count(event) > before })
}

// retry lets it try again if there are no links.
func (p *nearProcess) retry() {
	if !p.NearStats().Linked {
		p.pass(0)
	}
}

func (p *nearProcess) usable() bool {
	_, usable := p.near.Begin()
	return usable
}

// prove moves the clock on and waits until both proofs are as young as it, and their events have
// been counted.
func (p *nearProcess) prove(d time.Duration) {
	p.t.Helper()
	p.pass(d)
	now := p.clock.Load()
	p.await("proofs", func() bool {
		s := p.NearStats()
		return s.ProofAge == 0 && p.since("link", now) == s.Links && p.since("master", now) == s.Links
	})
}

// settle waits until all that Redis has sent by now has been applied.
func (p *nearProcess) settle() {
	p.t.Helper()
	p.prove(1)
}

// settleLinks settles the links where not every master proves itself.
func (p *nearProcess) settleLinks() {
	p.t.Helper()
	p.pass(1)
	now := p.clock.Load()
	p.await("answers on the links", func() bool { return p.since("link", now) == p.NearStats().Links })
}

// proveMaster proves the masters where the link does not answer: it waits until that has
// been asked.
func (p *nearProcess) proveMaster(d time.Duration) {
	p.t.Helper()
	p.pass(d)
	now := p.clock.Load()
	p.await("proof of the master", func() bool {
		links := p.NearStats().Links
		return p.since("master", now) == links && p.since("ping", now) == links
	})
}

// since is how many masters that are followed a question was last sent to at that
// instant, or later: of the kind that an event is about.
func (p *nearProcess) since(event string, at int64) (masters int) {
	links := p.NearStats().Links
	p.mu.Lock()
	defer p.mu.Unlock()
	for master, sent := range p.newest[event] {
		if master < links && int64(sent) >= at {
			masters++
		}
	}
	return masters
}

func (p *nearProcess) put(s *session.Session) {
	p.t.Helper()
	old, err := p.GetFresh(p.t.Context(), s.ID)
	if err != nil {
		old = nil
	}
	if err := p.Put(p.t.Context(), s, old); err != nil {
		p.t.Fatal(err)
	}
}

func (p *nearProcess) delete(id session.ID) {
	p.t.Helper()
	old, err := p.GetFresh(p.t.Context(), id)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.Delete(p.t.Context(), old, "test"); err != nil {
		p.t.Fatal(err)
	}
}

// get returns the sequence of a session, 0 if it is not found, and whether a
// copy answered.
func (p *nearProcess) get(id session.ID) (sequence uint64, hit bool) {
	p.t.Helper()
	hits := p.NearStats().Sessions.Hits
	s, err := p.Get(p.t.Context(), id)
	hit = p.NearStats().Sessions.Hits > hits
	if err == session.ErrNotFound {
		return 0, hit
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Sequence, hit
}

// want checks what get answers.
func (p *nearProcess) want(id session.ID, sequence uint64, hit bool) {
	p.t.Helper()
	if got, h := p.get(id); got != sequence || h != hit {
		p.t.Errorf("session %s: got sequence %d, by a copy: %v; want %d, %v", id, got, h, sequence, hit)
	}
}

// Search answers a search with the page that was kept of it, as the HTTP API does.
func (p *nearProcess) Search(ctx context.Context, q *index.Query) (*index.Page, error) {
	if q.Cursor != nil || !q.Reads.Copies() {
		return p.Store.Search(ctx, q)
	}
	key := fmt.Appendf(nil, "%+v %+v %v %d %d", q.Predicates, q.Sees, q.Ascending, q.Offset, q.Limit)
	if page, ok := p.Page(key); ok {
		return page, nil
	}
	return p.SearchAs(ctx, q, key)
}

// ofUser returns the IDs of a user's sessions, oldest first.
func (p *nearProcess) ofUser(user string) []session.ID {
	p.t.Helper()
	page, err := p.Search(p.t.Context(), &index.Query{
		Predicates: []index.Predicate{index.ByUser(user)}, Sees: index.Sees{All: true}, Limit: 2000, Ascending: true,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	ids := make([]session.ID, len(page.Sessions))
	for i, s := range page.Sessions {
		ids[i] = s.ID
	}
	if page.Total != uint64(len(ids)) {
		p.t.Errorf("total %d with %d sessions", page.Total, len(ids))
	}
	return ids
}

// sessionOf makes a session of a user.
func sessionOf(id, user string, sequence uint64) *session.Session {
	return &session.Session{
		ID: session.ID(id), CreationDate: 1_700_000_000_000_000, ChangeDate: 1_700_000_000_000_000, Sequence: sequence, ExpirationDate: session.Never,
		Factors: session.Factors{User: &session.UserFactor{ID: user}}, Metadata: map[string][]byte{"n": fmt.Append(nil, sequence)},
	}
}
