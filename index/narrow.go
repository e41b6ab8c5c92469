package index

import (
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

// narrowed is what the AND of a query's predicates comes to.
type narrowed struct {
	ids      []session.ID // without duplicates; only if byIDs
	byIDs    bool
	user     string // "" = any
	agent    string
	creator  string
	creation Dates
	expires  Dates
	// active says that the search asks for what holds for every live session:
	// that it ends after now. expires leaves it out.
	active bool
	now    session.Time
}

var anyDate = Dates(zlist.Everything)

// narrow ANDs the predicates of q. ok is false if nothing can match.
func narrow(q *Query, now session.Time) (n narrowed, ok bool) {
	n.creation, n.expires, n.now = anyDate, anyDate, now
	for i := range q.Predicates {
		p := &q.Predicates[i]
		same := true
		switch p.Kind {
		case KindIDs:
			n.narrowIDs(p.ids)
			same = len(n.ids) > 0
		case KindUser:
			same = agree(&n.user, p.Value)
		case KindAgent:
			same = agree(&n.agent, p.Value)
		case KindCreator:
			same = agree(&n.creator, p.Value)
		case KindCreation:
			n.creation = n.creation.and(p.Dates)
		case KindExpiration:
			n.active = true
			n.expires = n.expires.and(p.Dates)
		default:
			same = false
		}
		if !same {
			return n, false
		}
	}
	// Every live session ends after now: "active sessions" is no condition, and
	// "ended by now" matches nothing.
	live := n.live()
	if n.expires = n.expires.and(live); n.expires.empty() {
		return n, false
	}
	if n.expires == live {
		n.expires = anyDate
	} else {
		n.active = false
	}
	return n, !n.creation.empty()
}

// live are the expiration dates of the sessions that are not due.
func (n *narrowed) live() Dates { return Dates{n.now + 1, session.Never} }

// beside are the expiration dates of the live sessions that end on a date that
// is not asked for: before expires, after it, or both.
func (n *narrowed) beside() (beside []Dates) {
	if before := (Dates{n.now + 1, n.expires.Min - 1}); n.expires != anyDate && !before.empty() {
		beside = append(beside, before)
	}
	if n.expires.Max < session.Never {
		beside = append(beside, Dates{n.expires.Max + 1, session.Never})
	}
	return beside
}

// told is whether cards tell which sessions end within expires: those that end
// from 2255 on have one score.
func (n *narrowed) told() bool {
	e := &n.expires
	return e.Min <= session.MaxScore && (e.Max < session.MaxScore || e.Max == session.Never)
}

// agree narrows a value that has to equal each of its predicates.
func agree(have *string, want string) bool {
	if want == "" || (*have != "" && *have != want) {
		return false
	}
	*have = want
	return true
}

func (n *narrowed) narrowIDs(ids []session.ID) {
	if !n.byIDs {
		n.byIDs, n.ids = true, ids
		return
	}
	n.ids = slices.DeleteFunc(slices.Clone(n.ids), func(id session.ID) bool {
		_, asked := slices.BinarySearch(ids, id)
		return !asked
	})
}
