package scenario

import (
	"fmt"
	"math/rand/v2"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// mostCandidates is the --search-max-candidates that a program has by default.
const mostCandidates = 20_000

type searchCostly struct{ Config }

// newSearchCostly asks for the costliest search that is not refused: as many
// sessions are examined as may be, all of them match, and the page is the
// longest. That takes a dataset of more than twice as many: where fewer end later
// than what is asked for, the program counts these instead, and examines none.
func newSearchCostly(c Config) load.Scenario { return searchCostly{c} }

func (s searchCostly) Client(_ int, r *rand.Rand) load.Client {
	return &costlySearcher{Config: s.Config, r: r, found: newFound()}
}

type costlySearcher struct {
	Config
	r     *rand.Rand
	found found
}

func (s *costlySearcher) Next(b []byte) ([]byte, int) {
	const page = 1000
	n := min(mostCandidates, s.Data.Sessions)
	q := &search{d: s.Data}
	firsts := s.Data.Sessions - n + 1
	if later := s.Data.Sessions - n - mostCandidates; later > 0 {
		firsts = later
	}
	first := s.r.IntN(firsts)
	q.createdWithin(first, n)
	q.queries = append(q.queries, `{"expirationDateQuery":{"expirationDate":"`+Date(s.Data.expires(first+n))+`","method":"TIMESTAMP_QUERY_METHOD_LESS"}}`)
	s.found.total, s.found.page = n, s.found.page[:0]
	for i := first + n - 1; i >= first && len(s.found.page) < page; i-- {
		s.found.page = append(s.found.page, i)
	}
	body := fmt.Sprintf(`{"query":{"offset":"0","limit":%d,"asc":false},%s,"queries":[%s,%s,%s]}`, page, byCreation, q.queries[0], q.queries[1], q.queries[2])
	return fmt.Appendf(b, "%sContent-Length: %d\r\n\r\n%s", s.head("POST", SearchPath), len(body), body), 200
}

func (s *costlySearcher) Check(a *load.Answer) error    { return s.found.check(a.Body) }
func (s *costlySearcher) Deep() func(body []byte) error { return s.found.deep(s.Data) }
func (s *costlySearcher) Lost()                         {}
