package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	churnStable  = 900 // sessions that nobody touches
	churnMoving  = 300 // IDs that writers create, replace and delete
	churnWriters = 3
	churnReaders = 3
)

// Churn searches while writers create, replace, delete and sweep other
// sessions, of which some end meanwhile, and checks what is promised of a search:
// every session that nobody touches is in the
// page iff it matches, in its place, and exactly once in the total; no session
// is in the page twice, and none that does not match. It does the given number
// of searches. (I9)
func Churn(t *testing.T, s Subject, searches int) {
	start := s.Clock.Now()
	c := &churn{Subject: s, start: start}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, i := range rng.Perm(churnStable + churnMoving) {
		if i < churnMoving {
			c.moving = append(c.moving, number(i))
		} else {
			c.stable = append(c.stable, c.session(rng, number(i)))
		}
	}
	if err := putAll(t.Context(), s.Store, c.stable); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := make(chan error, churnWriters+churnReaders)
	var left atomic.Int64
	left.Store(int64(searches))
	var readers, writers sync.WaitGroup
	for w := range churnWriters {
		writers.Go(func() { errs <- c.write(ctx, rand.New(rand.NewPCG(3, uint64(w)))) })
	}
	for r := range churnReaders {
		readers.Go(func() {
			var err error
			rng := rand.New(rand.NewPCG(4, uint64(r)))
			for left.Add(-1) >= 0 && err == nil {
				if rng.IntN(30) > 0 {
					err = c.search(ctx, rng)
					continue
				}
				var pages int64
				pages, err = c.turn(ctx, rng)
				left.Add(1 - pages)
			}
			errs <- err
		})
	}
	readers.Wait()
	stop()
	writers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

type churn struct {
	Subject
	start  session.Time
	stable []*session.Session
	moving []session.ID
	writes atomic.Uint64
}

// session makes one of the sessions of a few users, agents and creators.
func (c *churn) session(rng *rand.Rand, id session.ID) *session.Session {
	return New(id, c.start, Created(c.start+session.Time(rng.IntN(500))), Expires(c.start.Add(time.Duration(1+rng.IntN(5))*time.Hour)),
		User("u"+strconv.Itoa(rng.IntN(3)), "o"+strconv.Itoa(rng.IntN(2))),
		Agent("a"+strconv.Itoa(rng.IntN(3))), Creator("c"+strconv.Itoa(rng.IntN(2))))
}

// write changes sessions until ctx ends. Writers get in each other's way on
// purpose, move the clock, and sweep.
func (c *churn) write(ctx context.Context, rng *rand.Rand) error {
	for ctx.Err() == nil {
		switch rng.IntN(100) {
		case 0:
			c.Clock.Advance(100 * time.Millisecond)
		case 1:
			if err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("sweep: %w", err)
			}
		}
		id := c.moving[rng.IntN(len(c.moving))]
		old, err := c.Store.GetFresh(ctx, id)
		if err == nil && rng.IntN(3) == 0 {
			_, err = c.Store.Delete(ctx, old, "churn")
		} else if err == nil || errors.Is(err, session.ErrNotFound) {
			next := c.session(rng, id)
			// Above every tombstone: a delete takes one more than its session has.
			next.Sequence = 2 * c.writes.Add(1)
			if rng.IntN(2) == 0 {
				next.ExpirationDate = c.Clock.Now().Add(time.Duration(1+rng.IntN(30)) * 100 * time.Millisecond)
			}
			if rng.IntN(4) == 0 {
				ForeignToken("foreign" + strconv.Itoa(rng.IntN(4)))(next)
			}
			err = c.Store.Put(ctx, next, old)
		}
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, session.ErrConflict), errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrDeleted):
		default:
			return fmt.Errorf("session %s: %w", id, err)
		}
	}
	return nil
}

func (c *churn) search(ctx context.Context, rng *rand.Rand) error {
	q := c.query(rng)
	p, err := c.Store.Search(ctx, q)
	if err != nil {
		return fmt.Errorf("search %+v: %w", q, err)
	}
	defer p.Release()
	if err := c.check(q, p); err != nil {
		return fmt.Errorf("Search(%+v): %w; total %d, page %v", q, err, p.Total, pageIDs(p))
	}
	return nil
}

func (c *churn) query(rng *rand.Rand) *index.Query {
	q := &index.Query{Sees: all, Ascending: rng.IntN(2) == 0, Limit: []int{2000, 2000, 50, 5, 0}[rng.IntN(5)]}
	if rng.IntN(3) == 0 {
		q.Offset = uint64(rng.IntN(700))
	}
	switch rng.IntN(6) {
	case 0:
		q.Sees = index.Sees{UserID: "u1", AgentID: "a1"}
	case 1:
		q.Sees = index.Sees{Orgs: []string{"o1"}}
	}
	for range rng.IntN(3) {
		var p index.Predicate
		switch rng.IntN(7) {
		case 0:
			p = index.ByUser("u" + strconv.Itoa(rng.IntN(3)))
		case 1:
			p = index.ByAgent("a" + strconv.Itoa(rng.IntN(3)))
		case 2:
			p = index.ByCreator("c" + strconv.Itoa(rng.IntN(2)))
		case 3:
			p = index.ByCreation(index.Dates{Min: c.start + session.Time(rng.IntN(300)), Max: c.start + session.Time(200+rng.IntN(300))})
		case 4:
			p = index.ByExpiration(index.Dates{Min: c.start.Add(time.Duration(rng.IntN(3)) * time.Hour), Max: c.start.Add(time.Duration(2+rng.IntN(4)) * time.Hour)})
		case 5:
			p = index.ByIDs(numbers(rng.IntN(300), 300+rng.IntN(900))...)
		case 6: // a clock that is ahead
			p = index.ByExpiration(index.Dates{Min: c.Clock.Now().Add(time.Duration(rng.IntN(20)) * 100 * time.Millisecond), Max: session.Never})
		}
		q.Predicates = append(q.Predicates, p)
	}
	return q
}

// check holds a page against the sessions that nobody touches.
func (c *churn) check(q *index.Query, p *index.Page) error {
	var want []*session.Stored
	for _, s := range c.stable {
		stored := &session.Stored{Facts: s.Facts()}
		if q.Match(&stored.Facts, p.At) {
			want = append(want, stored)
		}
	}
	slices.SortFunc(want, func(a, b *session.Stored) int { return compare(a, b, q.Ascending) })
	if n := uint64(len(want)); p.Total < n || p.Total > n+churnMoving {
		return fmt.Errorf("the total is not within %d and %d", n, n+churnMoving)
	}
	if len(p.Sessions) > q.Limit || uint64(len(p.Sessions)) > p.Total {
		return fmt.Errorf("%d sessions are too many", len(p.Sessions))
	}
	place := make(map[session.ID]int, len(want))
	for i, s := range want {
		place[s.ID] = i
	}
	at := -1 // where the page's next untouched session is in want
	seen := make(map[session.ID]bool)
	for i, s := range p.Sessions {
		switch {
		case !q.Match(&s.Facts, p.At):
			return fmt.Errorf("session %+v does not match", s.Facts)
		case seen[s.ID]:
			return fmt.Errorf("session %s is there twice", s.ID)
		case i > 0 && compare(p.Sessions[i-1], s, q.Ascending) >= 0:
			return fmt.Errorf("session %s is out of order", s.ID)
		}
		seen[s.ID] = true
		found, untouched := place[s.ID]
		if !untouched {
			continue
		}
		if at < 0 {
			at = found
		}
		if found != at {
			return fmt.Errorf("session %s is missing", want[at].ID)
		}
		at++
	}
	if q.Offset == 0 && len(p.Sessions) > 0 && at > 0 && !seen[want[0].ID] {
		return fmt.Errorf("session %s is missing at the beginning", want[0].ID)
	}
	// A page that is not full reaches the end.
	if len(p.Sessions) < q.Limit && q.Offset < uint64(len(want)) && at != len(want) {
		return fmt.Errorf("session %s is missing at the end", want[max(at, 0)].ID)
	}
	return nil
}
