package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// spread is a store of 32 shards, each of which has live sessions and some that are due.
type spread struct {
	*Store
	t    *testing.T
	live []session.ID // oldest first
	made func(i int) session.Time
	// multis counts the trips with MULTIs.
	multis atomic.Int64
	// onMulti is called before each of them.
	onMulti func(n int64)
}

// watch returns a hook of a client that sends to one server.
func (s *spread) watch() redis.Hook {
	return &beforeMulti{func(context.Context) {
		if n := s.multis.Add(1); s.onMulti != nil {
			s.onMulti(n)
		}
	}}
}

func (s *spread) open(rdb redis.UniversalClient) {
	s.t.Helper()
	begin := session.TimeOf(time.Now())
	now := begin
	s.made = func(i int) session.Time { return begin.Add(time.Duration(i) * time.Millisecond) }
	var err error
	if s.Store, err = Open(s.t.Context(), Config{Redis: rdb, Shards: 32, Clock: func() session.Time { return now }}); err != nil {
		s.t.Fatal(err)
	}
	for i := range 400 {
		made := sessionOf(fmt.Sprintf("s%04d", i), fmt.Sprint("user", i/10), 1)
		made.CreationDate, made.Creator = s.made(i), "creator"
		if i%5 == 0 {
			made.ExpirationDate = begin.Add(time.Minute)
		} else {
			s.live = append(s.live, made.ID)
		}
		if err := s.Put(s.t.Context(), made, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	now = begin.Add(time.Hour)
}

// page reads a page of all that live, and returns how many trips had MULTIs.
func (s *spread) page(what string, q index.Query, from int) int64 {
	s.t.Helper()
	s.multis.Store(0)
	q.Sees, q.Limit, q.Ascending = index.Sees{All: true}, 20, true
	page, err := s.Search(s.t.Context(), &q)
	if err != nil {
		s.t.Errorf("%s: %v", what, err)
	} else if got, want := idsOf(page), s.live[from:from+20]; int(page.Total) != len(s.live) || !slices.Equal(got, want) {
		s.t.Errorf("%s: %v of %d, want %v of %d", what, got, page.Total, want, len(s.live))
	}
	return s.multis.Load()
}

// pages reads several kinds of pages of everything, each of which is to take so many
// trips with MULTIs.
func (s *spread) pages(want int64) {
	s.t.Helper()
	f := func(what string, q index.Query, from int) {
		s.t.Helper()
		if got := s.page(what, q, from); got != want {
			s.t.Errorf("%s: %d trips with MULTIs, want %d", what, got, want)
		}
	}
	f("the first page", index.Query{}, 0)
	f("by offset", index.Query{Offset: 150}, 150)
	f("behind a cursor", index.Query{Cursor: &index.Candidate{Creation: s.made(101), ID: "s0101"}}, slices.Index(s.live, "s0101")+1)
	f("behind one that is gone", index.Query{Cursor: &index.Candidate{Creation: s.made(101), ID: "s0101+"}}, slices.Index(s.live, "s0101")+1)
	f("of a creator", index.Query{Predicates: []index.Predicate{index.ByCreator("creator")}}, 0)

	// One shard that cannot be read is an error, not a page without it. (I2)
	key := s.keys.Created(5)
	if err := s.rdb.Rename(s.t.Context(), key, key+"away").Err(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.rdb.Set(s.t.Context(), key, "x", 0).Err(); err != nil {
		s.t.Fatal(err)
	}
	if page, err := s.Search(s.t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 20}); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		s.t.Errorf("one list has another type: %v, %v", page, err)
	}
}

// A page of everything takes one trip to each master for counts and IDs of all its
// shards, whichever protocol the server speaks.
func TestSearch_APageOfEverythingAsksEachMasterOnce(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d, a Cluster", protocol), func(t *testing.T) {
			t.Parallel()
			s := &spread{t: t}
			rdb := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t, func(o *redis.ClusterOptions) { o.Protocol = protocol })
			rdb.OnNewNode(func(node *redis.Client) { node.AddHook(s.watch()) })
			s.open(rdb)
			s.pages(3)
		})
		t.Run(fmt.Sprintf("RESP%d, one server", protocol), func(t *testing.T) {
			t.Parallel()
			s := &spread{t: t}
			rdb := redistest.Start(t).Client(t, func(o *redis.Options) { o.Protocol = protocol })
			rdb.AddHook(s.watch())
			s.open(rdb)
			s.pages(2) // of 16 shards each
		})
	}
}

// The slot of a shard moves while pages of everything are read: each is whole. Only
// that shard is asked again by itself. (I9)
func TestI9_ASlotMovesWhileAPageIsRead(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	s := &spread{t: t}
	rdb := c.Client(t, func(o *redis.ClusterOptions) { o.ClusterStateReloadInterval = time.Hour }) // it is to learn of moves by MOVED
	rdb.OnNewNode(func(node *redis.Client) { node.AddHook(s.watch()) })
	s.open(rdb)
	f := func(what string, want int64) {
		t.Helper()
		if got := s.page(what, index.Query{}, 0); got != want {
			t.Errorf("%s: %d trips with MULTIs, want %d", what, got, want)
		}
	}
	slot := c.SlotOf(s.keys.Created(7))
	m := c.Migrate(slot, another(c, slot))
	f("nothing has moved yet", 3)
	for m.Move(100) > 0 {
	}
	f("it is asked by itself, and ASK is followed", 3+2)
	m.End()
	f("it is asked by itself, and MOVED is followed", 3+2)
	eventually.Holds(t, "the client knows", func() bool { return s.page("all has moved", index.Query{}, 0) == 3 })

	// The catalogue has moved and the list has not, until Redis has said TRYAGAIN.
	slot = c.SlotOf(s.keys.Created(8))
	m = c.Migrate(slot, another(c, slot))
	host, port, _ := net.SplitHostPort(m.To.Addr)
	m.From.Do("MIGRATE", host, port, s.keys.Catalogue(8), 0, 5000)
	moved := 0
	s.onMulti = func(n int64) {
		if n == 3+3 {
			moved = m.Finish()
		}
	}
	f("TRYAGAIN is followed", 3+3)
	if moved == 0 {
		t.Error("all had moved before")
	}
}

// A master that has left the Cluster is asked through its successor; one whose answer is
// lost makes the page an error. (I2)
func TestI2_AMasterDoesNotAnswerAPage(t *testing.T) {
	t.Parallel()
	s, faults := &spread{t: t}, new(redistest.Faults)
	rdb := redistest.StartCluster(t, redistest.ClusterConfig{}).Client(t)
	rdb.OnNewNode(func(node *redis.Client) {
		node.AddHook(s.watch())
		node.AddHook(faults)
	})
	s.open(rdb)
	faults.Arm(redistest.Cut{Before: func(trip int, _ []redis.Cmder) error {
		if trip == 1 {
			return redis.ErrClosed
		}
		return nil
	}})
	if got := s.page("the client of a node is closed", index.Query{}, 0); got <= 3 {
		t.Errorf("%d trips with MULTIs", got)
	}
	for n := range int64(3) {
		for _, cut := range []redistest.Cut{redistest.CutBefore(int(n) + 1), redistest.CutAfter(int(n) + 1)} {
			faults.Arm(cut)
			s.multis.Store(0)
			page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 20})
			if !errors.Is(err, session.ErrUnavailable) || s.multis.Load() > 3 {
				t.Errorf("trip %d is cut: %v, %v in %d trips", n+1, page, err, s.multis.Load())
			}
		}
	}
}
