package news

import (
	"context"
	"maps"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// tieSearch is what is known of the search for OIDC sessions that have begun. It is a search of its own: no proof needs
// it, and an application's login and every refresh of its tokens have several events, which the search with the proof would have
// to read, and to count among those that it can follow.
type tieSearch struct {
	// last is the date of the latest event.
	last session.Time
	// known are those that the next search finds again, with their dates.
	known map[string]session.Time
}

func newTieSearch(since session.Time) tieSearch {
	return tieSearch{last: since.Add(commitWithin), known: map[string]session.Time{}}
}

// learnTies learns the ties of OIDC sessions that have begun since the last step, MostEvents at most: the others come with the
// next step. What it misses is found when it is asked for.
func (f *Follower) learnTies(ctx context.Context, c *chain) {
	from := c.ties.last.Add(-commitWithin)
	if len(c.ties.known) >= upstream.MostEvents { // so many may hide all others
		from = c.ties.last.Add(-time.Microsecond)
	}
	found, err := f.Search(ctx, upstream.SearchTies(from))
	if err != nil {
		f.log.Debug("the search for oidc sessions of zitadel failed: they are found when they are asked for", "error", err)
		return
	}
	all := newEffects()
	for i := range found {
		e := &found[i]
		c.ties.last = max(c.ties.last, e.At)
		if _, known := c.ties.known[e.Aggregate]; known {
			continue
		}
		c.ties.known[e.Aggregate] = e.At
		f.metrics.event("search", all.add(e))
	}
	_ = f.apply(ctx, all)
	since := c.ties.last.Add(-commitWithin)
	maps.DeleteFunc(c.ties.known, func(_ string, at session.Time) bool { return at <= since })
}
