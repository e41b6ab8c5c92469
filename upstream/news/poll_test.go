package news

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

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
