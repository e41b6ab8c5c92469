package index

import (
	"math"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Query says which sessions a search is about, and which page of them.
type Query struct {
	// Predicates are AND-ed; each kind may repeat; none match every session.
	Predicates []Predicate
	// Sees is who asks. The zero value sees nothing.
	Sees Sees
	// Ascending puts the oldest session first. Order is by creation date, then
	// by the bytes of the session ID, in the direction asked.
	Ascending bool
	// Offset is how many matches come before the page.
	Offset uint64
	// Cursor, unless nil, says where the page begins, in place of Offset, which must
	// be 0: behind this position in the order, whether its session still exists or
	// not; the zero Candidate is the beginning. A caller that asks for page after
	// page, each with the last session of the page before as its cursor, gets every
	// session that does not change exactly once, whatever else comes and goes; within
	// the bound of copies, if it may read those. (I9)
	Cursor *Candidate
	// Limit is the most sessions that the page may have; 0 asks for the total alone.
	Limit int
	// Reads is what may be read; with Cursor, replicas are never read.
	Reads Reads
	// Evidence, unless nil, notes the copies that answer.
	Evidence *Evidence
	// Explain, unless nil, is filled in by the search. It changes nothing else.
	Explain *Explanation
}

// Kind is what a predicate is about.
type Kind uint8

// The kinds of predicates, named as in errors.
const (
	KindIDs Kind = iota + 1
	KindUser
	KindAgent
	KindCreator
	KindCreation
	KindExpiration
)

// String returns the JSON name of the kind's query in ZITADEL's API.
func (k Kind) String() string {
	return [...]string{"", "idsQuery", "userIdQuery", "userAgentQuery", "creatorQuery", "creationDateQuery", "expirationDateQuery"}[k]
}

// Predicate is one condition. Make it with ByIDs, ByUser, ByAgent, ByCreator,
// ByCreation or ByExpiration; the zero value matches nothing.
type Predicate struct {
	Kind  Kind
	ids   []session.ID // KindIDs: sorted, each once
	Value string       // KindUser, KindAgent, KindCreator
	Dates Dates        // KindCreation, KindExpiration
}

// ByIDs matches the sessions with one of ids; none match nothing.
func ByIDs(ids ...session.ID) Predicate {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return Predicate{Kind: KindIDs, ids: slices.Compact(ids)}
}

// IDs returns the session IDs of a predicate made with ByIDs, sorted, each once.
func (p *Predicate) IDs() []session.ID { return p.ids }

// ByUser matches the sessions of a user; "" matches nothing.
func ByUser(id string) Predicate { return Predicate{Kind: KindUser, Value: id} }

// ByAgent matches the sessions of a user agent; "" matches nothing.
func ByAgent(fingerprint string) Predicate { return Predicate{Kind: KindAgent, Value: fingerprint} }

// ByCreator matches the sessions that a caller created; "" matches nothing.
func ByCreator(id string) Predicate { return Predicate{Kind: KindCreator, Value: id} }

// ByCreation matches the sessions created within d.
func ByCreation(d Dates) Predicate { return Predicate{Kind: KindCreation, Dates: d} }

// ByExpiration matches the sessions that end within d; one that never ends has
// the expiration date session.Never.
func ByExpiration(d Dates) Predicate { return Predicate{Kind: KindExpiration, Dates: d} }

// Dates is a closed interval. It is empty if Min > Max. Max = session.Never
// has no end.
type Dates struct {
	Min, Max session.Time
}

// Method compares a session's date with a query's. The values are those of
// ZITADEL's TimestampQueryMethod.
type Method int32

// The methods.
const (
	Equals Method = iota
	Greater
	GreaterOrEquals
	Less
	LessOrEquals
)

// Compare returns the dates that stand to t as m says. Stored dates are whole
// microseconds; a t that is finer is compared exactly, so that nothing equals it.
func Compare(m Method, t time.Time) Dates {
	floor := session.TimeOf(t)
	whole := t.Nanosecond()%1000 == 0
	switch m {
	case Equals:
		if !whole {
			return Dates{Min: 1, Max: 0}
		}
		return Dates{floor, floor}
	case Greater:
		return Dates{floor + 1, session.Never}
	case GreaterOrEquals:
		if !whole {
			floor++
		}
		return Dates{floor, session.Never}
	case Less:
		if whole {
			floor--
		}
		return Dates{math.MinInt64, floor}
	case LessOrEquals:
		return Dates{math.MinInt64, floor}
	}
	return Dates{Min: 1, Max: 0}
}

// Contains says whether t is within d.
func (d Dates) Contains(t session.Time) bool { return d.Min <= t && t <= d.Max }

func (d Dates) and(e Dates) Dates { return Dates{max(d.Min, e.Min), min(d.Max, e.Max)} }

func (d Dates) empty() bool { return d.Min > d.Max }

func minScore(d Dates) string { return session.Score(d.Min) }

func maxScore(d Dates) string { return session.Score(d.Max) }

// Sees says which sessions a caller may see. Its parts are OR-ed. An empty
// user ID, agent ID or organization lets nobody see anything.
type Sees struct {
	// All sees every session: session.read for the instance, and our own tools.
	All bool
	// Orgs sees the sessions of these organizations' users.
	Orgs []string
	// UserID sees the sessions that it created and those of the user with this ID.
	UserID string
	// AgentID sees the sessions of this user agent.
	AgentID string
}

// ownOnly is whether only sessions may be seen that are the caller's own.
func (c *Sees) ownOnly() bool { return !c.All && len(c.Orgs) == 0 }

// Match says whether s may be seen.
func (c *Sees) Match(s *session.Facts) bool {
	switch {
	case c.All:
		return true
	case c.UserID != "" && (s.Creator == c.UserID || s.UserID == c.UserID):
		return true
	case c.AgentID != "" && s.AgentID == c.AgentID:
		return true
	}
	return s.OrgID != "" && slices.Contains(c.Orgs, s.OrgID)
}

// Match is the definition of a search: whether s, at now by the store's clock,
// is among the sessions that q asks for. Every plan finds exactly these; it
// may only be faster. (I9)
func (q *Query) Match(s *session.Facts, now session.Time) bool {
	if s.Due(now) || !q.Sees.Match(s) {
		return false
	}
	for i := range q.Predicates {
		if !q.Predicates[i].Match(s) {
			return false
		}
	}
	return true
}

// Match says whether p holds for s.
func (p *Predicate) Match(s *session.Facts) bool {
	switch p.Kind {
	case KindIDs:
		_, found := slices.BinarySearch(p.ids, s.ID)
		return found
	case KindUser:
		return p.Value != "" && s.UserID == p.Value
	case KindAgent:
		return p.Value != "" && s.AgentID == p.Value
	case KindCreator:
		return p.Value != "" && s.Creator == p.Value
	case KindCreation:
		return p.Dates.Contains(s.Creation)
	case KindExpiration:
		return p.Dates.Contains(s.Expiration)
	}
	return false
}

// Page is the answer to a search.
type Page struct {
	// Total is how many sessions match, before Offset, Cursor and Limit. Where it is
	// counted in lists, an entry whose session is gone counts until it is swept or
	// repaired; only a search without Cursor takes off those that it finds.
	Total uint64
	// At is the instant for which the answer holds, by the store's clock.
	At session.Time
	// Sessions are those of the page, in order.
	Sessions []*session.Stored
	// More says, if the query has Cursor, that more matches may follow the page: what
	// would may end before it is read. Without it, none follows. It is not told of
	// a query without a Limit.
	More bool

	memory *session.Memory // of Sessions; nil if they have their own
}

// Release says that nobody needs the page's sessions any more, nor a text of one.
// It need not be called.
func (p *Page) Release() {
	p.Sessions = nil
	p.memory.Release()
	p.memory = nil
}
