package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// mostCandidates is the --search-max-candidates that a program has by default.
const mostCandidates = 20_000

type searchCostly struct{ scenarioConfig }

// newSearchCostly asks for the costliest search that is not refused: as many
// sessions are examined as may be, all of them match, and the page is the
// longest. That takes a dataset of more than twice as many: where fewer end later
// than what is asked for, the program counts these instead, and examines none.
func newSearchCostly(c scenarioConfig) load.Scenario { return searchCostly{c} }

func (s searchCostly) Client(_ int, r *rand.Rand) load.Client {
	return &costlySearcher{scenarioConfig: s.scenarioConfig, r: r, found: newFound()}
}

type costlySearcher struct {
	scenarioConfig
	r     *rand.Rand
	found found
}

func (s *costlySearcher) Next(b []byte) ([]byte, int) {
	const page = 1000
	n := min(mostCandidates, s.data.sessions)
	q := &search{d: s.data}
	firsts := s.data.sessions - n + 1
	if later := s.data.sessions - n - mostCandidates; later > 0 {
		firsts = later
	}
	first := s.r.IntN(firsts)
	q.createdWithin(first, n)
	q.queries = append(q.queries, `{"expirationDateQuery":{"expirationDate":"`+date(s.data.expires(first+n))+`","method":"TIMESTAMP_QUERY_METHOD_LESS"}}`)
	s.found.total, s.found.page = n, s.found.page[:0]
	for i := first + n - 1; i >= first && len(s.found.page) < page; i-- {
		s.found.page = append(s.found.page, i)
	}
	body := fmt.Sprintf(`{"query":{"offset":"0","limit":%d,"asc":false},%s,"queries":[%s,%s,%s]}`, page, byCreation, q.queries[0], q.queries[1], q.queries[2])
	return fmt.Appendf(b, "%sContent-Length: %d\r\n\r\n%s", s.head("POST", searchPath), len(body), body), 200
}

func (s *costlySearcher) Check(a *load.Answer) error    { return s.found.check(a.Body) }
func (s *costlySearcher) Deep() func(body []byte) error { return s.found.deep(s.data) }
func (s *costlySearcher) Lost()                         {}
