package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// scenario makes the clients of a kind of load.
type scenario interface {
	// client returns what the n-th connection sends. r is its own.
	client(n int, r *rand.Rand) client
}

// client is what one connection sends, and what it must get. It is used by one
// goroutine, which calls next, deep, check.
type client interface {
	// next appends the next request to b, and returns the status that its answer must have.
	next(b []byte) (request []byte, want int)
	// check says what is untrue in an answer with that status, by a few bytes of it.
	check(a *answer) error
	// deep returns a check of the same answer's body by all that the scenario
	// knows of it. It may run later, on another goroutine. nil: there is none.
	deep() func(body []byte) error
	// lost says that there was no answer, or one with another status.
	lost()
}

// scenarioConfig is what scenarios need to know.
type scenarioConfig struct {
	data   dataset
	host   string // of the Host header
	key    string
	zipf   float64
	offset int // of search-admin; −1 is another one each time
	limit  int // of search-admin

	verifySessions int // that verify-steady asks for
}

var scenarios = map[string]func(scenarioConfig) scenario{
	"get-hot":       newGetHot,
	"cold-start":    newColdStart,
	"search-user":   newSearchUser,
	"search-mixed":  newSearchMixed,
	"search-admin":  newSearchAdmin,
	"search-costly": newSearchCostly,
	"create":        newCreate,
	"login-storm":   newLoginStorm,
	"verify-steady": newVerifySteady,
	"redis-raw":     func(c scenarioConfig) scenario { return raw{c} },
}

func newScenario(name string, c scenarioConfig) (scenario, error) {
	make, ok := scenarios[name]
	if !ok {
		return nil, fmt.Errorf("unknown scenario %q: %s", name, strings.Join(append(slices.Sorted(maps.Keys(scenarios)), "logout-wave, logout-nginx, expiry-cliff, overload, costly-flood and crowd (run only)"), ", "))
	}
	return make(c), nil
}

// head returns a request's first lines, without the body's length.
func (c scenarioConfig) head(method, path string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: " + c.host + "\r\nAuthorization: Bearer " + c.key + "\r\nContent-Type: application/json\r\n"
}

// get returns a whole request.
func (c scenarioConfig) get(path string) []byte { return []byte(c.head("GET", path) + "\r\n") }

// withBody returns a whole request.
func (c scenarioConfig) withBody(method, path, body string) []byte {
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", c.head(method, path), len(body), body)
}
