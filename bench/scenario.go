package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

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

var scenarios = map[string]func(scenarioConfig) load.Scenario{
	"get-hot":       newGetHot,
	"cold-start":    newColdStart,
	"search-user":   newSearchUser,
	"search-mixed":  newSearchMixed,
	"search-admin":  newSearchAdmin,
	"search-costly": newSearchCostly,
	"create":        newCreate,
	"login-storm":   newLoginStorm,
	"verify-steady": newVerifySteady,
	"redis-raw":     func(c scenarioConfig) load.Scenario { return raw{c} },
}

func newScenario(name string, c scenarioConfig) (load.Scenario, error) {
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
