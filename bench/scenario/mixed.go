package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

type searchMixed struct{ Config }

// newSearchMixed searches by each of the six predicates, and by combinations of them.
func newSearchMixed(c Config) load.Scenario { return searchMixed{c} }

func (s searchMixed) Client(_ int, r *rand.Rand) load.Client {
	return &mixedSearcher{Config: s.Config, r: r, users: newZipf(s.Data.Users(), s.Zipf, r), found: newFound()}
}

// mixedSearcher makes a search, and the truth about it, from a small set of
// candidates that one predicate selects and others narrow.
type mixedSearcher struct {
	Config
	r     *rand.Rand
	users *zipf
	found found
}

func (m *mixedSearcher) Next(b []byte) ([]byte, int) {
	s := &search{d: m.Data, asc: m.r.IntN(4) == 0}
	user := spread(m.users.next(), m.users.n)
	k := 1 + m.r.IntN(PerUser-1)
	pivot := m.Data.OfUser(user, k)
	switch m.r.IntN(9) {
	case 0:
		s.user(user)
	case 1:
		s.user(user)
		s.createdSince(pivot)
	case 2:
		s.ids(m.someIDs())
	case 3:
		s.ids(m.someIDs())
		s.createdSince(m.r.IntN(m.Data.Sessions))
	case 4:
		s.agent(user, m.r.IntN(2))
	case 5:
		s.user(user)
		s.creator(pivot)
	case 6:
		s.user(user)
		s.expiresBefore(pivot)
	case 7:
		s.createdWithin(pivot, 200)
		s.creator(pivot)
	case 8:
		s.user(user)
		s.agent(user, m.r.IntN(2))
		s.createdSince(pivot)
		s.expiresBefore(m.Data.OfUser(user, PerUser-1))
	}
	m.found.total = len(s.candidates)
	m.found.page = s.candidates
	body := fmt.Sprintf(`{"query":{"offset":"0","limit":100,"asc":%t},%s,"queries":[%s]}`, s.asc, byCreation, strings.Join(s.queries, ","))
	if !s.asc {
		slices.Reverse(s.candidates)
	}
	return fmt.Appendf(b, "%sContent-Length: %d\r\n\r\n%s", m.head("POST", SearchPath), len(body), body), 200
}

func (m *mixedSearcher) Check(a *load.Answer) error    { return m.found.check(a.Body) }
func (m *mixedSearcher) Deep() func(body []byte) error { return m.found.deep(m.Data) }
func (m *mixedSearcher) Lost()                         {}

// someIDs returns up to five sessions in ascending order, without repetition.
func (m *mixedSearcher) someIDs() []int {
	first := m.r.IntN(m.Data.Sessions)
	var ids []int
	for i := first; i < m.Data.Sessions && len(ids) < 5; i += 1 + m.r.IntN(1000) {
		ids = append(ids, i)
	}
	return ids
}

// search collects predicates and keeps the candidates that match them all, in
// ascending order of creation. The first predicate lists them.
type search struct {
	d          Dataset
	asc        bool
	queries    []string
	candidates []int
}

// narrow adds a predicate. all is every session that it matches, nil if they
// are too many for a first predicate.
func (s *search) narrow(query string, all []int, matches func(i int) bool) {
	if len(s.queries) == 0 {
		s.candidates = all
	}
	s.queries = append(s.queries, query)
	kept := s.candidates[:0]
	for _, i := range s.candidates {
		if matches(i) {
			kept = append(kept, i)
		}
	}
	s.candidates = kept
}

func (s *search) ofUser(user int) []int {
	all := make([]int, PerUser)
	for k := range all {
		all[k] = s.d.OfUser(user, k)
	}
	return all
}

func (s *search) user(user int) {
	s.narrow(`{"userIdQuery":{"id":"`+UserID(user)+`"}}`, s.ofUser(user), func(i int) bool { return s.d.userOf(i) == user })
}

func (s *search) ids(ids []int) {
	listed := map[int]bool{}
	var names []string
	for _, i := range ids {
		listed[i] = true
		names = append(names, `"`+SessionID(i)+`"`)
	}
	s.narrow(`{"idsQuery":{"ids":[`+strings.Join(names, ",")+`]}}`, ids, func(i int) bool { return listed[i] })
}

func (s *search) agent(user, device int) {
	s.narrow(`{"userAgentQuery":{"fingerprintId":"`+s.d.fingerprint(user, device)+`"}}`, s.ofUser(user),
		func(i int) bool { return s.d.userOf(i) == user && s.d.device(i) == device })
}

func (s *search) creator(like int) {
	s.narrow(`{"creatorQuery":{"id":"`+creatorID(like)+`"}}`, nil, func(i int) bool { return i%creators == like%creators })
}

func (s *search) createdSince(first int) {
	s.narrow(creationQuery(s.d.Created(first), "GREATER_OR_EQUALS"), nil, func(i int) bool { return i >= first })
}

// createdWithin selects n sessions from first, or those that there are.
func (s *search) createdWithin(first, n int) {
	last := min(first+n, s.d.Sessions) - 1
	var all []int
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	s.narrow(creationQuery(s.d.Created(first), "GREATER_OR_EQUALS"), all, func(int) bool { return true })
	s.narrow(creationQuery(s.d.Created(last), "LESS_OR_EQUALS"), nil, func(int) bool { return true })
}

func (s *search) expiresBefore(end int) {
	s.narrow(`{"expirationDateQuery":{"expirationDate":"`+Date(s.d.expires(end))+`","method":"TIMESTAMP_QUERY_METHOD_LESS"}}`, nil,
		func(i int) bool { return i < end })
}
