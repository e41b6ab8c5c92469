package news

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

const (
	// commitWithin is how long after its date an event may be seen at the latest: transactions do not commit in the order
	// of the dates of their events.
	commitWithin = 5 * time.Second
	// clockError is more than the clocks of two processes, which follow that of Redis, are apart.
	clockError = time.Second
	// leaseFor is how long a process that has crashed keeps others from searching, at least.
	leaseFor = 5 * time.Second
	// endLeadWithin bounds how long one that stops takes to let others.
	endLeadWithin = time.Second
	// stepWithin bounds one search with all its pages.
	stepWithin = 20 * time.Second
	// wholePage is the number of events from which on a page may have been cut: no ZITADEL is known to give fewer at most.
	wholePage = 100
	// mostKnown bounds the events that are known by name; mostAgain the users that are looked at again.
	mostKnown, mostAgain = 200_000, 20_000
	// forbiddenRest is how long no search is tried after one that our account may not make.
	forbiddenRest = time.Minute
)

// polls is what the process that searches knows.
type polls struct {
	// chain is nil if this process does not search, or has to begin anew.
	chain *chain
	// restUntil is when the next search may begin.
	restUntil time.Time
	failing   bool
	// leads says that it was this process's turn when that was last known.
	leads bool
}

// chain is a row of searches without a gap: each begins before what the last one may have missed.
type chain struct {
	cache.News
	// last is the date of the latest event.
	last session.Time
	// known are the events since the beginning of the next search, with their dates.
	known map[eventName]session.Time
	// again are users whose copies are outdated once more, the first seen first: a question that was under way when it
	// was done may be stored by now, and may not have seen the change.
	again []seen
	// searched is up to when all has been applied once; Proven, twice where that is needed.
	searched session.Time
	// floor is the date of the latest event before the last gap: no search begins earlier.
	floor session.Time
	// ties are where the search for OIDC sessions goes on.
	ties tieSearch
}

type eventName struct {
	aggregateType, aggregate string
	sequence                 uint64
}

// seen is about events of a user: the first one's date, when they were applied, and an instant at which none had happened yet.
type seen struct {
	user                  string
	date, applied, before session.Time
}

// search searches until ctx ends.
func (f *Follower) search(ctx context.Context) {
	ticker := time.NewTicker(f.Every)
	defer ticker.Stop()
	for {
		if now := time.Now(); !now.Before(f.polls.restUntil) {
			stepCtx, cancel := context.WithTimeout(ctx, stepWithin)
			leads, err := f.step(stepCtx)
			cancel()
			if ctx.Err() != nil {
				return
			}
			f.tell(leads, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tell says how a step went, in the log when that changes.
func (f *Follower) tell(leads bool, err error) {
	p := &f.polls
	forbidden, isForbidden := errors.AsType[*upstream.Forbidden](err)
	state := &State{Leads: leads && !isForbidden} // it searches for nobody: the next one may find out the same
	switch {
	case isForbidden:
		state.Forbidden, p.restUntil = true, time.Now().Add(forbiddenRest)
		state.Fault = forbidden.Error()
	case err != nil:
		state.Fault = err.Error()
	}
	switch {
	case err != nil && !p.failing:
		f.log.Warn("no news of zitadel: copies answer only for --upstream-max-age", "error", err)
	case err == nil && p.failing:
		f.log.Info("news of zitadel come again")
	}
	p.failing = err != nil
	f.state.Store(state)
	f.metrics.polled(leads, err)
}

// step searches once, if this process is the one to do it, applies what it finds, and records what that proves.
func (f *Follower) step(ctx context.Context) (leads bool, err error) {
	leads, err = f.Store.LeadNews(ctx, f.lease())
	if err == nil {
		f.polls.leads = leads
	}
	if err != nil || !leads {
		f.polls.chain = nil
		return leads, err
	}
	start := f.now()
	server, err := f.Store.NewsServer(ctx)
	if err != nil {
		return true, err
	}
	c := f.polls.chain
	if c == nil || c.Server != server || start.Sub(c.Proven) > f.MaxAgeProven {
		if c, err = f.begin(ctx, start, server, c == nil); err != nil {
			return true, err
		}
		f.polls.chain = c
	}
	err = f.extend(ctx, c, start)
	if f.Ties {
		f.learnTies(ctx, c)
	}
	return true, err
}

// lease is how long a process that has gone keeps others from searching.
func (f *Follower) lease() time.Duration { return max(leaseFor, 3*f.Every) }

// begin begins a chain: where the record ends, unless that is of another Redis or too long ago, else now.
func (f *Follower) begin(ctx context.Context, start session.Time, server string, goOn bool) (*chain, error) {
	if goOn {
		recorded, err := f.Store.News(ctx)
		if err != nil {
			return nil, err
		}
		if recorded != nil && recorded.Server == server && start.Sub(recorded.Proven) <= f.MaxAgeProven {
			return newChain(*recorded), nil
		}
	}
	// By ZITADEL's own clock, whatever ours says.
	latest, err := f.Search(ctx, upstream.EventSearch{AggregateTypes: aggregateTypes, Last: true})
	if err != nil {
		return nil, err
	}
	// What is committed from now on is dated after Since, however long this search took.
	n := cache.News{From: f.now().Add(clockError), Proven: start, Server: server}
	for _, e := range latest {
		n.Since = e.At.Add(-commitWithin)
	}
	return newChain(n), nil
}

func newChain(n cache.News) *chain {
	return &chain{News: n, searched: n.Proven, last: n.Since.Add(commitWithin), floor: n.Since, ties: newTieSearch(n.Since), known: map[eventName]session.Time{}}
}

// next is where the next search begins.
func (c *chain) next() session.Time {
	from := c.last
	for _, s := range c.again {
		from = min(from, s.date) // whoever goes on with this chain has to look at the user again
	}
	return max(from.Add(-commitWithin), c.floor)
}

// extend applies all events that are not known yet, and records that.
func (f *Follower) extend(ctx context.Context, c *chain, start session.Time) error {
	from := c.next()
	for whole := false; !whole; {
		gap := false
		page, err := f.Search(ctx, upstream.EventSearch{AggregateTypes: aggregateTypes, Since: from})
		if err != nil {
			return err
		}
		if whole = len(page) < wholePage; !whole {
			first, last := page[0].At, page[len(page)-1].At
			from = last.Add(-time.Microsecond) // what else happened at this instant may have been cut off
			if gap = first == last; gap {      // and cannot be had
				from = last
			}
		}
		if err := f.take(ctx, c, page); err != nil {
			return err
		}
		if gap || len(c.known) > mostKnown || len(c.again) > mostAgain {
			f.breakOff(c)
		}
		if !whole { // a long way back may take longer than a step, and than the lease: whoever leads next goes on from here
			c.drop()
			if _, err := f.Store.LeadNews(ctx, f.lease()); err != nil {
				return err
			}
			if err := f.Store.ProveNews(ctx, c.News); err != nil {
				return err
			}
		}
	}
	if err := f.lookAgain(ctx, c, start); err != nil {
		return err
	}
	c.drop()
	c.searched = max(c.searched, start.Add(-commitWithin))
	proven := c.searched
	for _, s := range c.again { // a copy from meanwhile may lack a change
		proven = min(proven, s.before)
	}
	c.Proven = max(c.Proven, proven)
	return f.Store.ProveNews(ctx, c.News)
}

// drop moves the beginning of the next search on, and forgets the events before it.
func (c *chain) drop() {
	c.Since = c.next()
	maps.DeleteFunc(c.known, func(_ eventName, at session.Time) bool { return at <= c.Since })
}

// breakOff begins a new chain, for events may be missing in this one: copies from before the gap count as they would without
// news.
func (f *Follower) breakOff(c *chain) {
	now := f.now() // after the search that has shown the gap
	if now > c.From {
		f.log.Warn("there are more events of zitadel than can be followed: copies from before answer only for --upstream-max-age", "known", len(c.known), "users", len(c.again))
	}
	f.metrics.gap()
	clear(c.known)
	c.again = nil
	c.floor = c.last // what happened before, and is seen later, belongs to the gap
	c.From = now.Add(max(commitWithin, f.Store.QuestionFor()) + 2*clockError)
}

// take applies those events of a page that are not known.
func (f *Follower) take(ctx context.Context, c *chain, page []upstream.Event) error {
	all, last := newEffects(), c.last
	again := map[string]seen{}
	for i := range page {
		e := &page[i]
		name := eventName{e.AggregateType, e.Aggregate, e.Sequence}
		last = max(last, e.At)
		if _, known := c.known[name]; known {
			continue
		}
		effect := all.add(e)
		f.metrics.event("search", effect)
		if effect == effectUser {
			if _, ok := again[e.Aggregate]; !ok {
				again[e.Aggregate] = seen{user: e.Aggregate, date: e.At, before: c.searched}
			}
		}
	}
	if err := f.apply(ctx, all); err != nil {
		return err // all of it comes again
	}
	for i := range page {
		e := &page[i]
		c.known[eventName{e.AggregateType, e.Aggregate, e.Sequence}] = e.At
	}
	applied := f.now() // not when the search began: an event may have come while it was under way, after a question
	for _, s := range again {
		s.applied = applied
		c.again = append(c.again, s)
	}
	c.last = max(c.last, last)
	return nil
}

// lookAgain outdates the copies of users once more when no question can be under way any more that was sent before.
func (f *Follower) lookAgain(ctx context.Context, c *chain, start session.Time) error {
	all, n := newEffects(), 0
	for ; n < len(c.again) && start.Sub(c.again[n].applied) > f.Store.QuestionFor()+clockError; n++ {
		all.users[c.again[n].user] = struct{}{}
	}
	if err := f.apply(ctx, all); err != nil {
		return err
	}
	c.again = c.again[n:]
	return nil
}
