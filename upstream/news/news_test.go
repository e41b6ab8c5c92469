package news

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { leaks.Verify(m) }

const (
	maxAge       = 30 * time.Second
	maxAgeProven = 10 * time.Minute
	password     = "Password1!"
)

// world is a store before a double of ZITADEL, with a clock that moves when it is told to, and followers that search when
// they are told to.
type world struct {
	t       *testing.T
	zitadel *zitadeltest.Server
	redis   *redistest.Server // nil on a Cluster
	connect func() redis.UniversalClient
	clock   *storetest.Clock
	client  *upstream.Client
	store   *cache.Store
	user    string
}

func newWorld(t *testing.T, shards int) *world {
	t.Helper()
	server := redistest.Start(t)
	w := newWorldAt(t, func() redis.UniversalClient { return server.Client(t) }, shards)
	w.redis = server
	return w
}

func newWorldAt(t *testing.T, connect func() redis.UniversalClient, shards int) *world {
	t.Helper()
	w := &world{t: t, zitadel: zitadeltest.Start(t), connect: connect, clock: storetest.NewClock()}
	w.zitadel.Advance(w.clock.Now().Sub(session.TimeOf(w.zitadel.Now())))
	w.client = w.as(w.zitadel.Admin.Token)
	w.store = w.open(shards)
	w.user = w.addUser()
	return w
}

func (w *world) as(token string) *upstream.Client {
	w.t.Helper()
	credentials, err := upstream.ParseCredentials([]byte(token))
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{URL: w.zitadel.URL, Credentials: credentials, Queue: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) open(shards int) *cache.Store {
	w.t.Helper()
	s, err := cache.Open(w.t.Context(), cache.Config{
		Redis: w.connect(), Clock: w.clock.Now, Shards: shards, RememberDeletions: 1000,
		Upstream: &cache.Upstream{Ask: w.client.Session, Timeout: 5 * time.Second, MaxAge: maxAge, MaxAgeProven: maxAgeProven, MaxBytes: 16 << 10, Tie: w.client.Tie},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (w *world) addUser() string {
	u := zitadeltest.User{ID: w.zitadel.NewID(), Password: password}
	w.zitadel.AddUser(u)
	return u.ID
}

// advance moves the clocks of all.
func (w *world) advance(d time.Duration) {
	w.clock.Advance(d)
	w.zitadel.Advance(d)
}

func (w *world) follower() *Follower {
	return New(Config{Store: w.store, Search: w.client.Events, Every: time.Second, MaxAgeProven: maxAgeProven})
}

// poll has a follower search once.
func (w *world) poll(f *Follower) {
	w.t.Helper()
	if leads, err := f.step(w.t.Context()); err != nil || !leads {
		w.t.Fatalf("the search: it leads: %v, %v", leads, err)
	}
}

// pass lets time pass with a search now and then.
func (w *world) pass(f *Follower, d time.Duration) {
	w.t.Helper()
	every := max(time.Second, d/20)
	for ; d > 0; d -= every {
		w.advance(min(d, every))
		w.poll(f)
	}
}

// release lets another process search, as the time of the lease does.
func (w *world) release() {
	client := w.redis.Client(w.t)
	for _, key := range client.Keys(w.t.Context(), "cr:f:*lease").Val() {
		client.Del(w.t.Context(), key)
	}
}

// begin searches until what was done before, as to make the user, is looked at no more.
func (w *world) begin(f *Follower) {
	w.t.Helper()
	w.pass(f, w.store.QuestionFor()+3*time.Second)
}

func (w *world) create() session.ID {
	w.t.Helper()
	id, _ := w.zitadel.CreateSession(zitadeltest.Session{UserID: w.user, Password: true})
	return session.ID(id)
}

// sees asks for a session, and checks how often ZITADEL is asked for that.
func (w *world) sees(id session.ID, questions int, want error) {
	w.t.Helper()
	before := w.zitadel.Count(zitadeltest.GetSession)
	got, err := w.store.Get(w.t.Context(), id)
	if !errors.Is(err, want) {
		w.t.Errorf("got %v, want %v", err, want)
	}
	if err == nil {
		truth := w.zitadel.See(w.zitadel.Admin.Token, string(id), "")
		if truth.Session.GetSequence() != got.Sequence {
			w.t.Errorf("got sequence %d, and ZITADEL has %d", got.Sequence, truth.Session.GetSequence())
		}
		if text := string(got.Doc); strings.Contains(text, `"password"`) != (truth.Session.GetFactors().GetPassword() != nil) {
			w.t.Errorf("got %s, and ZITADEL has %v", text, truth.Session)
		}
	}
	if asked := w.zitadel.Count(zitadeltest.GetSession) - before; asked != questions {
		w.t.Errorf("ZITADEL was asked %d times, want %d", asked, questions)
	}
}

// While news come, a copy answers for the long max age; without them for the short one after the last.
func TestI3_NewsLetCopiesAnswerLonger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	id := w.create()
	w.begin(f)
	w.sees(id, 1, nil)
	w.pass(f, 2*time.Minute)
	w.sees(id, 0, nil)
	w.advance(maxAge - commitWithin)
	w.sees(id, 1, nil) // the last news are too old
	w.pass(f, maxAgeProven*7/10)
	w.sees(id, 0, nil)
	w.pass(f, maxAgeProven*3/10)
	w.sees(id, 1, nil)
}

// A copy from before the first search is proven by none.
func TestI3_NewsProveNothingFromBeforeTheyBegan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.create()
	w.sees(id, 1, nil)
	w.advance(time.Second)
	w.zitadel.Terminate(string(id))
	w.advance(time.Second)
	// Enough happens that the search for the latest event does not find this one.
	for range 3 {
		w.advance(3 * time.Second)
		w.create()
	}
	f := w.follower()
	w.pass(f, maxAge)
	w.sees(id, 1, session.ErrNotFound)
}

func TestI4_NewsOfWhatHappensAtZITADEL(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	for _, w := range []*world{newWorld(t, 1), newWorld(t, 4), newWorldAt(t, func() redis.UniversalClient { return cluster.Client(t) }, 0)} {
		f := w.follower()
		w.begin(f)

		a, b := w.create(), w.create()
		w.sees(a, 1, nil)
		w.sees(b, 1, nil)
		w.pass(f, 3*time.Second)
		w.sees(a, 0, nil) // its own events are in it already
		w.zitadel.Terminate(string(a))
		w.pass(f, time.Second)
		w.sees(a, 0, session.ErrRevoked)
		w.sees(b, 0, nil)

		if _, err := w.zitadel.SetMetadata(string(b), "k", "v"); err != nil {
			t.Fatal(err)
		}
		w.pass(f, time.Second)
		eventually.Holds(t, "what is in use is asked for again at once", func() bool {
			got, err := w.store.Get(t.Context(), b)
			return err == nil && strings.Contains(string(got.Doc), `"metadata"`)
		})
		w.sees(b, 0, nil)

		w.zitadel.ChangePassword(w.user, password)
		w.pass(f, time.Second)
		w.sees(b, 1, nil)

		c := w.create()
		w.sees(c, 1, nil)
		w.pass(f, time.Minute)
		w.sees(c, 1, nil) // the user has changed; the second look has outdated it
		w.zitadel.Lock(w.user)
		w.pass(f, time.Second)
		w.sees(c, 1, session.ErrNotFound)
		w.sees(b, 1, session.ErrNotFound)
	}
}

// A question that was sent before a user was locked, and whose answer is stored after the news of that: no proof covers it, and the
// second look outdates it.
func TestI4_NewsOfAUserFindAQuestionUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	other, _ := w.zitadel.CreateSession(zitadeltest.Session{UserID: w.addUser(), Password: true})
	id := w.create()
	w.begin(f)

	hold := w.zitadel.Hold(zitadeltest.GetSession)
	done := make(chan error)
	go func() {
		_, err := w.store.Get(context.WithoutCancel(t.Context()), id)
		done <- err
	}()
	hold.Wait(1)
	asked := w.clock.Now()
	w.advance(time.Second)
	w.zitadel.Lock(w.user)
	w.pass(f, time.Second)
	hold.Release()
	if err := <-done; err != nil {
		t.Fatal(err) // it was so when it was asked
	}
	for range w.store.QuestionFor()/time.Second - 1 { // others go on meanwhile
		w.pass(f, time.Second)
		if _, err := w.zitadel.SetMetadata(other, "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.store.LastNews(); n.Proven >= asked {
		t.Error("a proof covers a copy that may lack a change")
	}
	// The process that has looked once goes, and another one goes on.
	w.release()
	f = w.follower()
	w.pass(f, w.store.QuestionFor()+3*time.Second)
	w.sees(id, 1, session.ErrNotFound)
}

// Events that are committed after others with later dates are found.
func TestI4_NewsThatAreCommittedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	late, other := w.create(), w.create()
	w.sees(late, 1, nil)
	w.pass(f, time.Second)
	w.zitadel.Change(func(s *zitadeltest.Settings) {
		s.SearchDelay = func(e zitadeltest.Event) time.Duration {
			if e.AggregateID == string(late) {
				return commitWithin - time.Second
			}
			return 0
		}
	})
	w.zitadel.Terminate(string(late))
	for range 4 {
		w.pass(f, time.Second)
		if _, err := w.zitadel.SetMetadata(string(other), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(f, time.Second)
	w.sees(late, 0, session.ErrRevoked)
}

// A search that fails proves nothing; the next one that does not finds all that happened meanwhile.
func TestI2_NewsThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	id := w.create()
	w.sees(id, 1, nil)
	w.pass(f, 10*time.Second)
	w.zitadel.Fail(zitadeltest.ListEvents, 100, zitadeltest.Failure{})
	w.zitadel.Terminate(string(id))
	for range 20 {
		w.advance(time.Second)
		if _, err := f.step(t.Context()); !errors.Is(err, upstream.ErrUnavailable) {
			t.Fatalf("got %v, want that ZITADEL is unavailable", err)
		}
	}
	if _, err := w.store.Get(t.Context(), id); err != nil {
		t.Errorf("got %v within the max age after the last news", err)
	}
	w.zitadel.Recover()
	w.pass(f, time.Second)
	w.sees(id, 0, session.ErrRevoked)
}

// Another process goes on where the one that searched has ended, and misses nothing.
func TestI4_AnotherProcessGoesOnWithTheNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	first := w.follower()
	w.begin(first)
	id := w.create()
	w.sees(id, 1, nil)
	w.pass(first, 10*time.Second)

	w.store = w.open(1)
	second := w.follower()
	if leads, err := second.step(t.Context()); leads || err != nil {
		t.Fatalf("two search at a time: %v", err)
	}
	w.zitadel.Terminate(string(id))
	w.advance(20 * time.Second)
	w.release()
	from := w.store.LastNews()
	w.poll(second)
	if now := w.store.LastNews(); from != nil && now.From != from.From || now.From == 0 {
		t.Errorf("the chain began anew: %v, and was %v", now, from)
	}
	w.sees(id, 0, session.ErrRevoked)
}

// Where Redis has lost the record, or another one is in its place, news begin anew.
func TestI3_NewsBeginAnewWithAnotherRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	id := w.create()
	w.sees(id, 1, nil)
	w.pass(f, time.Minute)
	w.sees(id, 0, nil)
	f.polls.chain.Server = "another"
	w.pass(f, time.Second)
	w.sees(id, 1, nil)
}

// More events than a page has, at many instants, are all found; more than it has at one instant end the proof of copies from before.
func TestI4_NewsInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	sessions := []session.ID{w.create(), w.create(), w.create()}
	search := func(ctx context.Context, q upstream.EventSearch) ([]upstream.Event, error) {
		found, err := w.client.Events(ctx, q)
		return found[:min(len(found), wholePage+1)], err // which cuts off what happened at one instant
	}
	f := New(Config{Store: w.store, Search: search, Every: time.Second, MaxAgeProven: maxAgeProven})
	w.begin(f)
	for _, id := range sessions {
		w.sees(id, 1, nil)
	}
	w.pass(f, 2*time.Second)
	for range 150 {
		w.create()
	}
	for _, id := range sessions {
		w.zitadel.Terminate(string(id))
	}
	w.pass(f, time.Second)
	for _, id := range sessions {
		w.sees(id, 0, session.ErrRevoked)
	}
	for _, e := range w.zitadel.Events() {
		if _, known := f.polls.chain.known[eventName{e.AggregateType, e.AggregateID, e.Sequence}]; !known && session.TimeOf(e.CreationDate) > f.polls.chain.Since {
			t.Errorf("%s %d of %s was not found", e.Type, e.Sequence, e.AggregateID)
		}
	}

	id := w.create()
	w.sees(id, 1, nil)
	w.pass(f, 20*time.Second)
	w.sees(id, 0, nil)
	instant := session.TimeOf(w.zitadel.Now())
	many := true
	f.Search = func(ctx context.Context, q upstream.EventSearch) ([]upstream.Event, error) {
		if !many || q.Since >= instant {
			return search(ctx, q)
		}
		page := make([]upstream.Event, wholePage)
		for i := range page {
			page[i] = upstream.Event{AggregateType: "user", Aggregate: fmt.Sprint(i), Type: "user.human.added", Sequence: 1, At: instant}
		}
		return page, nil
	}
	w.pass(f, time.Second)
	many = false
	w.advance(maxAge)
	w.poll(f)
	w.sees(id, 1, nil)
	w.pass(f, time.Minute)
	w.sees(id, 0, nil) // the new chain proves what was checked after the gap
}

// What cannot be applied, because Redis does not answer, comes again.
func TestI4_NewsThatRedisDoesNotTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	id := w.create()
	w.sees(id, 1, nil)
	w.pass(f, 2*time.Second)
	w.zitadel.Terminate(string(id))
	client := w.redis.Client(t)
	f.Search = func(ctx context.Context, q upstream.EventSearch) ([]upstream.Event, error) {
		client.Do(ctx, "client", "pause", "60000", "write")
		return w.client.Events(ctx, q)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := f.step(ctx); !errors.Is(err, session.ErrUnavailable) {
		t.Fatalf("got %v, want that the store is unavailable", err)
	}
	client.Do(t.Context(), "client", "unpause")
	f.Search = w.client.Events
	w.pass(f, time.Second)
	w.sees(id, 0, session.ErrRevoked)
}

// Without the right to search there are no news, and that is said.
func TestNews_NeedARight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.client = w.as(w.zitadel.Login.Token)
	f := w.follower()
	leads, err := f.step(t.Context())
	if _, forbidden := errors.AsType[*upstream.Forbidden](err); !forbidden || !leads {
		t.Fatalf("got %v", err)
	}
	f.tell(leads, err)
	if s := f.State(); !s.Forbidden || s.Leads || !strings.Contains(s.Fault, "IAM_OWNER") {
		t.Errorf("got %+v", s)
	}
	if f.polls.restUntil.IsZero() {
		t.Error("it goes on asking")
	}
}

// What ZITADEL sends is applied without a search.
func TestI4_NewsThatAreSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	f.Every = 0
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	id := w.create()
	w.sees(id, 1, nil)
	w.zitadel.Terminate(string(id))
	if !f.Sent(upstream.Event{AggregateType: "session", Aggregate: string(id), Type: "session.terminated"}) {
		t.Error("it was not taken")
	}
	eventually.Holds(t, "the session is gone", func() bool {
		_, err := w.store.Get(t.Context(), id)
		return errors.Is(err, session.ErrRevoked)
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for range mostSent {
		f.Sent(upstream.Event{})
	}
	if f.Sent(upstream.Event{}) {
		t.Error("more wait than may")
	}
}

func TestEffects(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"session/session.added": effectChanged, "session/session.terminated": effectTerminated, "session/session.new.kind": effectChanged,
		"user/user.locked": effectUser, "user/user.removed": effectUser, "user/user.human.password.changed": effectUser, "user/user.new.kind": effectUser,
		"user/user.human.password.check.succeeded": effectNone, "user/user.token.added": effectNone, "user/user.human.refresh.token.renewed": effectNone,
		"org/org.removed": effectNone,
	} {
		aggregate, kind, _ := strings.Cut(kind, "/")
		all := newEffects()
		if got := all.add(&upstream.Event{AggregateType: aggregate, Aggregate: "1", Type: kind, Sequence: 1}); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
	all := newEffects()
	for _, e := range []upstream.Event{{Type: "session.terminated", Sequence: 7}, {Type: "session.added"}, {Type: "session.token.set", Sequence: 6}} {
		e.AggregateType, e.Aggregate = "session", "1"
		all.add(&e)
	}
	if got := all.sessions["1"]; !got.terminated || !got.unnumbered {
		t.Errorf("got %+v: a session that has ended stays so, and an event without a number is later than every copy", got)
	}
}

// A user is locked while a search is under way, after a question about one of its sessions: the second look waits for that question,
// however early the search began.
func TestI4_NewsOfASlowSearch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := w.follower()
	w.begin(f)
	id := w.create()
	w.begin(f)
	hold, done := w.zitadel.Hold(zitadeltest.GetSession), make(chan error, 1)
	f.Search = func(ctx context.Context, s upstream.EventSearch) ([]upstream.Event, error) {
		f.Search = w.client.Events
		w.advance(3900 * time.Millisecond) // it waits for its turn
		go func() {
			_, err := w.store.Get(context.WithoutCancel(t.Context()), id)
			done <- err
		}()
		hold.Wait(1)
		w.advance(10 * time.Millisecond)
		w.zitadel.Lock(w.user)
		return w.client.Events(ctx, s)
	}
	w.poll(f)
	for range 6 {
		w.pass(f, time.Second)
	}
	hold.Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.pass(f, time.Minute)
	w.sees(id, 1, session.ErrNotFound)
}

// A session that cannot be read, damaged or written by a later program, does not keep news of all others from coming, and does not answer.
func TestI3_NewsOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, terminated := range []bool{false, true} {
		w := newWorld(t, 1)
		f := w.follower()
		w.begin(f)
		id := w.create()
		w.sees(id, 1, nil)
		w.begin(f)
		const later = "\x7f12345678and more" // a checked one, in a format of the future
		for _, key := range w.connect().Keys(t.Context(), "cr:s:*"+string(id)).Val() {
			w.connect().HSet(t.Context(), key, "doc", later)
			defer func() {
				if got := w.connect().HGet(t.Context(), key, "doc").Val(); got != "\x7f\x00\x00\x00\x00\x00\x00\x00\x00and more" {
					t.Errorf("it has %q, and whoever can read it thinks that it is good", got)
				}
			}()
		}
		if terminated {
			w.zitadel.Terminate(string(id))
		} else if _, err := w.zitadel.SetMetadata(string(id), "k", "v"); err != nil {
			t.Fatal(err)
		}
		w.pass(f, time.Minute)
		if age := w.clock.Now().Sub(w.store.LastNews().Proven); age > 2*commitWithin {
			t.Errorf("the last news are %v old", age)
		}
	}
}

// Two processes get through more events than one step has time for, though each step outlasts its lease.
func TestNews_TwoProcessesAndALongWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var events []upstream.Event
	left := 0
	search := func(_ context.Context, s upstream.EventSearch) ([]upstream.Event, error) {
		if left--; left < 0 {
			return nil, &upstream.UnavailableError{Reason: "its time is over"}
		}
		var page []upstream.Event
		for _, e := range events {
			if e.At > s.Since && len(page) < upstream.MostEvents {
				page = append(page, e)
			}
		}
		if s.Last {
			page = events[len(events)-1:]
		}
		return page, nil
	}
	add := func(n int) {
		for range n {
			i := len(events)
			events = append(events, upstream.Event{AggregateType: "user", Aggregate: "u", Type: "user.human.added", Sequence: uint64(i + 1), At: w.clock.Now().Add(time.Duration(i) * time.Millisecond)})
		}
	}
	add(1)
	first := New(Config{Store: w.store, Search: search, Every: time.Second, MaxAgeProven: maxAgeProven})
	second := New(Config{Store: w.open(1), Search: search, Every: time.Second, MaxAgeProven: maxAgeProven})
	left = 2
	w.poll(first)
	add(20_000)
	begun := w.store.LastNews().Proven
	for range 6 {
		w.release() // a step is longer than the lease
		left = 10
		_, _ = first.step(t.Context())
		w.advance(5 * time.Second)
		first, second = second, first
		_, _ = second.step(t.Context()) // it does not lead any more
	}
	recorded, err := w.store.News(t.Context())
	if err != nil || recorded.Proven <= begun {
		t.Errorf("nothing is proven: %v, %v", recorded, err)
	}
}
