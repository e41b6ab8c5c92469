package news

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// model is three processes before a ZITADEL, of which two search for events in turns, and what ZITADEL has ever said of each session.
type model struct {
	*world
	r         *rand.Rand
	stores    []*cache.Store
	followers []*Follower
	users     []string
	locked    map[string]bool
	ids       []session.ID
	said      map[session.ID][]saying
	held      []*question
	waiting   sync.WaitGroup
	away      bool // that is ZITADEL
	sent      int  // how many events ZITADEL has sent, or lost
}

// saying is what ZITADEL says of a session from an instant on; "" is that there is none.
type saying struct {
	from session.Time
	what string
}

// question is a Get whose question ZITADEL has decided, and not answered.
type question struct {
	id    session.ID
	asked session.Time
	hold  *zitadeltest.Hold
	done  chan struct{}
}

// nearStore is the process with a near cache.
const nearStore = 2

// Whatever happens at ZITADEL, and however its events come or do not come, no process shows what ZITADEL has ceased to say for longer than the max
// age; and when news have come for a while, all say what it says.
func TestI3_NewsAsTheModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CLOAKROOM_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("CLOAKROOM_TEST_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	m := &model{world: newWorld(t, 1+3*r.IntN(2)), r: r, said: map[session.ID][]saying{}, locked: map[string]bool{}}
	m.stores = []*cache.Store{m.store, m.open(0), m.openNear()}
	for k := range 2 {
		m.followers = append(m.followers, m.followerOf(k))
	}
	for range 3 {
		m.users = append(m.users, m.addUser())
	}
	steps, _ := strconv.Atoi(testdepth.Of("250", "100"))
	for range steps {
		m.step()
		if t.Failed() {
			break
		}
	}
	m.quiet()
}

func (m *model) followerOf(k int) *Follower {
	return New(Config{Store: m.stores[k], Search: m.client.Events, Every: time.Second, MaxAgeProven: maxAgeProven})
}

// openNear opens a store with a near cache.
func (m *model) openNear() *cache.Store {
	m.t.Helper()
	s, err := cache.Open(m.t.Context(), cache.Config{
		Redis: m.redis.Client(m.t), Clock: m.clock.Now, NearBytes: 1 << 20, RememberDeletions: 1000,
		Upstream: &cache.Upstream{Ask: m.client.Session, Timeout: 5 * time.Second, MaxAge: maxAge, MaxAgeProven: maxAgeProven, MaxBytes: 16 << 10},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(m.t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	m.t.Cleanup(func() {
		stop()
		<-done
		_ = s.Close()
	})
	eventually.Holds(m.t, "the near cache is used", func() bool { return s.NearStats().ProofAge >= 0 })
	return s
}

// note notes what ZITADEL says now.
func (m *model) note() {
	for _, id := range m.ids {
		what := ""
		if truth := m.zitadel.See(m.zitadel.Admin.Token, string(id), ""); truth.Session != nil {
			what = fmt.Sprint(truth.Session.GetSequence(), truth.Session.GetFactors().GetPassword() != nil)
		}
		if all := m.said[id]; len(all) == 0 || all[len(all)-1].what != what {
			m.said[id] = append(all, saying{m.clock.Now(), what})
		}
	}
}

// says asks a process for a session.
func (m *model) says(k int, id session.ID) (string, error) {
	got, err := m.stores[k].Get(m.t.Context(), id)
	if errors.Is(err, session.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprint(got.Sequence, strings.Contains(string(got.Doc), `"password"`)), nil
}

// check checks that ZITADEL has said what a process says within the max age.
func (m *model) check(k int, id session.ID) {
	m.t.Helper()
	if m.waits(id) {
		return
	}
	if _, err := m.stores[k].News(m.t.Context()); err != nil { // as Run does
		m.t.Fatal(err)
	}
	what, err := m.says(k, id)
	if err != nil && m.away {
		return // I2
	}
	if err != nil {
		m.t.Errorf("process %d: %v", k, err)
		return
	}
	since, all := m.clock.Now().Add(-maxAge), m.said[id]
	for i, s := range all {
		over := session.Never
		if i+1 < len(all) {
			over = all[i+1].from
		}
		if over >= since && s.what == what {
			return
		}
	}
	m.t.Errorf("process %d says %q of %s, and ZITADEL has said at %d: %v", k, what, id, m.clock.Now(), all)
}

func (m *model) step() {
	m.advance(time.Duration(1+m.r.IntN(1500)) * time.Millisecond)
	if len(m.held) > 0 && m.clock.Now().Sub(m.held[0].asked) > 3*time.Second { // a question ends in time
		m.release(0)
	}
	if len(m.ids) == 0 || m.r.IntN(8) == 0 {
		if user := m.users[m.r.IntN(len(m.users))]; !m.locked[user] {
			id, _ := m.zitadel.CreateSession(zitadeltest.Session{UserID: user, Password: true})
			m.ids = append(m.ids, session.ID(id))
		}
	}
	if len(m.ids) > 0 {
		m.change(m.some())
	}
	m.note()
	m.send()
	if m.r.IntN(3) > 0 {
		_, err := m.followers[m.r.IntN(2)].step(m.t.Context())
		if err != nil && !errors.Is(err, upstream.ErrUnavailable) {
			m.t.Error(err)
		}
	}
	for range min(6, len(m.ids)) {
		m.check(m.r.IntN(3), m.some())
	}
}

// some is one of the last sessions.
func (m *model) some() session.ID {
	return m.ids[len(m.ids)-1-m.r.IntN(min(len(m.ids), 8))]
}

func (m *model) change(id session.ID) {
	user := m.users[m.r.IntN(len(m.users))]
	switch m.r.IntN(17) {
	case 0:
		m.zitadel.Terminate(string(id))
	case 1, 2:
		_, _ = m.zitadel.SetMetadata(string(id), "k", strconv.Itoa(m.r.IntN(1000)))
	case 3:
		if !m.locked[user] {
			m.zitadel.Lock(user)
			m.locked[user] = true
		}
	case 4, 5:
		if m.locked[user] {
			m.zitadel.Unlock(user)
			m.locked[user] = false
		}
	case 6:
		m.zitadel.ChangePassword(user, password)
	case 7, 8:
		m.ask(id)
	case 9:
		m.release(m.r.IntN(len(m.held) + 1))
	case 10: // some events are committed late
		late := m.r.IntN(2) == 0
		m.zitadel.Change(func(s *zitadeltest.Settings) {
			s.SearchDelay = nil
			if late {
				s.SearchDelay = func(e zitadeltest.Event) time.Duration {
					return time.Duration(e.Sequence*977%4000) * time.Millisecond
				}
			}
		})
	case 11:
		m.zitadel.Fail(zitadeltest.ListEvents, m.r.IntN(8), zitadeltest.Failure{})
	case 12: // a process is replaced
		k := m.r.IntN(2)
		m.followers[k] = m.followerOf(k)
		if m.r.IntN(2) == 0 {
			m.world.release()
		}
	case 13:
		if m.r.IntN(5) == 0 {
			m.quiet()
		}
	case 14: // a process is gone, and another one comes in its place
		m.release(0)
		k := m.r.IntN(2)
		m.stores[k] = m.open(0)
		m.followers[k] = m.followerOf(k)
	case 15: // ZITADEL is away for a while
		m.release(0)
		m.zitadel.Stop()
		m.away = true
		for range 4 {
			m.check(m.r.IntN(3), m.some())
			m.advance(time.Duration(m.r.IntN(5000)) * time.Millisecond)
		}
		m.zitadel.Restart()
		m.away = false
		eventually.Holds(m.t, "ZITADEL is asked again", func() bool {
			_, err := m.client.Events(m.t.Context(), upstream.EventSearch{AggregateTypes: aggregateTypes, Last: true})
			return err == nil
		})
	}
}

// ask has a process ask about a session, whose answer ZITADEL decides now and gives later, but within the time-out.
func (m *model) ask(id session.ID) {
	if len(m.held) == 3 {
		m.release(0)
	}
	if m.waits(id) {
		return
	}
	var once sync.Once
	taken := make(chan struct{})
	q := &question{id: id, asked: m.clock.Now(), done: make(chan struct{})}
	q.hold = m.zitadel.HoldIf(func(c zitadeltest.Call) (first bool) {
		if c.Name == zitadeltest.GetSession && c.SessionID == string(id) {
			once.Do(func() { first = true; close(taken) })
		}
		return first
	})
	store := m.stores[m.r.IntN(3)]
	m.waiting.Go(func() {
		defer close(q.done)
		_, _ = store.Get(context.WithoutCancel(m.t.Context()), id)
	})
	select {
	case <-taken:
		m.held = append(m.held, q)
	case <-q.done: // a copy has answered
		q.hold.Release()
	}
}

// waits says whether a question about a session is held: who asks the same waits, too.
func (m *model) waits(id session.ID) bool {
	return slices.ContainsFunc(m.held, func(q *question) bool { return q.id == id })
}

// release has the answers that are held from one on come.
func (m *model) release(from int) {
	for _, q := range m.held[from:] {
		q.hold.Release()
		<-q.done
	}
	m.held = m.held[:from]
}

// send has ZITADEL send what has happened: some of it never, some twice, in any order.
func (m *model) send() {
	events := m.zitadel.Events()
	fresh := slices.Clone(events[m.sent:])
	m.sent = len(events)
	m.r.Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
	for _, e := range fresh {
		for range m.r.IntN(3) {
			all := newEffects()
			all.add(&upstream.Event{AggregateType: e.AggregateType, Aggregate: e.AggregateID, Type: e.Type, Sequence: e.Sequence})
			if err := m.followers[m.r.IntN(2)].apply(m.t.Context(), all); err != nil {
				m.t.Error(err)
			}
		}
	}
}

// quiet lets news come, and less time pass than the max age. Then all processes say what ZITADEL says.
func (m *model) quiet() {
	m.t.Helper()
	m.release(0)
	m.waiting.Wait()
	m.note()
	m.world.release() // that of a process that is gone ends by Redis' time
	m.zitadel.Recover()
	m.zitadel.Change(func(s *zitadeltest.Settings) { s.SearchDelay = nil })
	for range m.stores[0].QuestionFor()/time.Second + 4 {
		m.advance(time.Second)
		for _, f := range m.followers {
			if _, err := f.step(m.t.Context()); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	for _, s := range m.stores {
		if _, err := s.News(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	}
	for _, id := range m.ids {
		want := m.said[id][len(m.said[id])-1].what
		for k := range m.stores {
			got, err := m.says(k, id)
			if (got != want || err != nil) && k == nearStore { // within the bound
				eventually.Within(5*time.Second, func() bool { got, err = m.says(k, id); return got == want && err == nil })
			}
			if got != want || err != nil {
				m.t.Errorf("process %d says %q, %v of %s, and ZITADEL says %q: %v", k, got, err, id, want, m.said[id])
			}
		}
	}
}
