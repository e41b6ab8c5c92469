package news

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
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
