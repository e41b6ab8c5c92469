package storetest

import (
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// tooCostly says whether a search for q among the live sessions would have to
// examine more than limit candidates, whatever the plan: it starts from one
// predicate, narrowed by the creation dates asked for, and looks at every
// session that this leaves. A start that leaves nothing to check costs
// nothing, because the entries of a user, an agent, a creator or a range of
// creation dates can be counted; what leaves expiration dates to check costs the
// sessions that end on other dates.
func tooCostly(q *index.Query, live []*session.Stored, now session.Time, limit int) error {
	unprivileged := !q.Sees.All && len(q.Sees.Orgs) == 0
	if unprivileged {
		// It starts from what its caller may see, or better.
		n := 0
		for _, s := range live {
			if q.Sees.Match(&s.Facts) {
				n++
			}
		}
		if n <= limit {
			return nil
		}
	}
	best, bestKind := len(live), index.Kind(0)
	counted := q.Sees.All // the best start leaves nothing to check
	equalities := 0
	for i := range q.Predicates {
		p := &q.Predicates[i]
		switch p.Kind {
		case index.KindUser, index.KindAgent, index.KindCreator:
			equalities++
		case index.KindIDs:
			counted = false
		case index.KindExpiration:
			if p.Dates.Min <= now && p.Dates.Max == session.Never {
				continue // holds for every live session
			}
			counted = counted && otherEnds(q, live, limit) <= limit
		}
		if n := candidates(q, p, live); n < best {
			best, bestKind = n, p.Kind
		}
	}
	if best <= limit || counted && equalities <= 1 {
		return nil
	}
	e := &index.TooCostlyError{Limit: limit, Unprivileged: unprivileged}
	if bestKind != 0 {
		e.Predicate = bestKind.String()
	}
	return e
}

// otherEnds counts the live sessions that do not end on a date that q asks for. It
// is more than limit if their entries do not tell.
func otherEnds(q *index.Query, live []*session.Stored, limit int) (n int) {
	for i := range q.Predicates {
		if p := &q.Predicates[i]; p.Kind == index.KindExpiration && (p.Dates.Min > session.MaxScore || far(p.Dates.Max) && p.Dates.Max != session.Never) {
			return limit + 1
		}
	}
	for _, s := range live {
		for i := range q.Predicates {
			if p := &q.Predicates[i]; p.Kind == index.KindExpiration && !p.Match(&s.Facts) {
				n++
				break
			}
		}
	}
	return n
}

// far says that an expiration date counts as never when candidates are sought.
func far(t session.Time) bool { return t >= session.MaxScore }

// candidates counts the live sessions that match p, as far as entries tell, and
// q's creation dates.
func candidates(q *index.Query, p *index.Predicate, live []*session.Stored) (n int) {
	for _, s := range live {
		if !p.Match(&s.Facts) && !(far(s.Expiration) && p.Kind == index.KindExpiration && far(p.Dates.Max)) {
			continue
		}
		matches := true
		for i := range q.Predicates {
			if d := &q.Predicates[i]; d.Kind == index.KindCreation && !d.Match(&s.Facts) {
				matches = false
			}
		}
		if matches {
			n++
		}
	}
	return n
}
