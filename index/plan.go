package index

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Plan is how a search is answered: what is tried first, and the way that is taken
// if that does not do. It is made by Index.Explain, and prints as a sentence.
//
// It needs nothing of Redis but counts, and these are asked for only when
// nothing else tells the way. What is tried first costs a short list about as much
// as counting it would.
type Plan struct {
	q        *Query
	now      session.Time
	narrowed narrowed
	// held: the list of the user is tried that Config.Users may have.
	held bool
	// short: the source's lists are tried. If the first chunk of each is all of it,
	// they are examined.
	short bool
	// source is what the way takes its candidates from, and as long as that is
	// undecided what short is; tried is the latter then.
	source, tried source
	way           way
	driver        *driver // of the ways rank, examine and refuse
	most          int     // candidates that may be examined
}

// way is how a search is answered, if nothing that is tried before does.
type way uint8

const (
	nothing   way = iota // nothing can match
	given                // the few IDs that were given are examined
	undecided            // counts tell
	rank                 // counts and ranks of the driver's lists give total and page
	examine              // the documents of the driver's candidates are read
	refuse               // the driver has too many
)

// Explain returns the plan of a search without running it, as Search would make
// it now. Its error is Redis' or the context's.
func (ix *Index) Explain(ctx context.Context, q *Query, now session.Time) (*Plan, error) {
	p := ix.plan(q, now)
	if p.way == undecided {
		if err := ix.decide(ctx, &p); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

// plan is what can be told of a search without Redis.
func (ix *Index) plan(q *Query, now session.Time) (p Plan) {
	p.q, p.now, p.most = q, now, ix.maxCandidates
	var ok bool
	p.narrowed, ok = narrow(q, now)
	n := &p.narrowed
	own := q.Sees.ownOnly()
	if !ok || (own && q.Sees.UserID == "" && q.Sees.AgentID == "") {
		return p
	}
	p.held = n.user != "" && !n.byIDs && ix.users != nil && q.Reads.Copies()
	p.way = undecided
	switch {
	case n.byIDs && len(n.ids) <= chunk:
		p.source, p.way = sourceIDs, given
	case n.user != "":
		p.source, p.short = sourceUser, true
	case n.agent != "":
		p.source, p.short = sourceAgent, true
	case own:
		p.source, p.short = sourceOwn, true
	}
	return p
}

// shortLists returns the lists of which the first chunk is tried.
func (ix *Index) shortLists(p *Plan) []string {
	switch p.source {
	case sourceUser:
		return []string{ix.keys.User(p.narrowed.user)}
	case sourceAgent:
		return []string{ix.keys.Agent(p.narrowed.agent)}
	}
	return ix.ownLists(&p.q.Sees)
}

// decide takes the way of an undecided plan. If more than one is open, one round
// trip counts.
func (ix *Index) decide(ctx context.Context, p *Plan) error {
	ds := ix.drivers(p.q, &p.narrowed)
	p.tried = p.source
	p.take(ds[0], rank)
	if len(ds) == 1 && ds[0].covers {
		return nil
	}
	p.q.Explain.Did(StepCounted)
	d, err := ix.cheapest(ctx, ds, p.now)
	if err != nil {
		return err
	}
	// What is examined needs to read no backlog of what is due.
	most := int64(p.most)
	c := coveringOf(ds)
	switch {
	case c != nil && d.count > chunk && c.leftOut <= most && (d.count > most || c.leftOut+c.due <= d.count):
		p.take(c, rank)
	case d.count > int64(p.most*d.repeats):
		p.take(d, refuse)
	default:
		p.take(d, examine)
	}
	return nil
}

func (p *Plan) take(d *driver, w way) { p.driver, p.source, p.way = d, sourceOf(d), w }

// costly says whether the search waits for its turn among the costly ones before it
// begins. One that is ranked may have to wait on its way, too: String says when.
func (p *Plan) costly() bool {
	switch p.way {
	case examine:
		return p.driver.count > costly
	case rank: // sessions of one instant have to be passed one by one
		return len(p.driver.lists) > 1 && p.q.Offset > costly
	}
	return false
}

// String says what is done, in the order in which it is tried, and what is read. It
// names no user, and no other value of the query.
func (p *Plan) String() string {
	var tries []string
	if p.held {
		tries = append(tries, fmt.Sprintf("examine the user's held list, if it has at most %d", p.most))
	}
	if p.short {
		first := p.source
		if p.way != undecided {
			first = p.tried
		}
		tries = append(tries, fmt.Sprintf("examine %s, if each list has fewer than %d", first.lists(), chunk))
	}
	switch p.way {
	case nothing:
		return "nothing can match"
	case given:
		tries = append(tries, fmt.Sprintf("examine %d given IDs", len(p.narrowed.ids)))
	case undecided:
		tries = append(tries, "count")
	case rank:
		text := fmt.Sprintf("page %s by rank", p.source.lists())
		if n := p.driver.leftOut + p.driver.due; n > 0 {
			text += fmt.Sprintf(", without those of %d cards that end on other dates", n)
		}
		most := p.driver.mostExcluded(p.most)
		if text += fmt.Sprintf(", reading at most %d cards of those that are left out", most); most > costly && !p.costly() {
			text += fmt.Sprintf(", and more than %d as a costly search", costly)
		}
		tries = append(tries, text)
	case examine:
		text := fmt.Sprintf("examine %d candidates of %s", p.driver.count, p.source.lists())
		if p.driver.count > int64(p.most) { // one may be in several lists
			text += fmt.Sprintf(", or refuse more than %d different ones", p.most)
		}
		tries = append(tries, text)
	case refuse:
		tries = append(tries, fmt.Sprintf("refuse %d candidates of %s, where %d may be examined", p.driver.count, p.source.lists(), p.most))
	}
	return strings.Join(tries, "; else ") + p.filters() + p.reads()
}

// filters says which predicates choose documents, in addition to Sees.
func (p *Plan) filters() string {
	var kinds []string
	for i := range p.q.Predicates {
		if k := p.q.Predicates[i].Kind.String(); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 || p.way == rank || p.way == refuse {
		return ""
	}
	return "; filtered by " + strings.Join(kinds, ", ")
}

// reads says where documents, and a costly search's lists, come from.
func (p *Plan) reads() string {
	from := "masters"
	if p.way == examine && p.costly() && p.q.mayRead().Replicas() {
		from = "replicas"
	}
	if p.q.mayRead().Copies() {
		from = "copies, else " + from
	}
	if p.costly() {
		from += ", as a costly search"
	}
	return "; from " + from
}

// lists names a source's lists in a sentence.
func (s source) lists() string {
	return [sources]string{
		"nothing", "the user's held list", "the given IDs", "the user's list", "the user agent's list", "the creator's lists",
		"the creation dates", "the expiration dates", "the caller's lists", "all sessions",
	}[s]
}
