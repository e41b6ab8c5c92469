// Package scenario is what is asked of a program, and the truth about it: the
// dataset, of which everything is known in advance, and the clients that ask for it
// and check the answers. Look here to add a kind of request, or when an answer is
// said to be wrong.
package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// Config is what scenarios need to know.
type Config struct {
	Data   Dataset
	Host   string  // of the Host header
	Key    string  // the API key, or the token of a verify
	Zipf   float64 // exponent of the skew; 0 is uniform
	Offset int     // of search-admin; −1 is another one each time
	Limit  int     // of search-admin

	VerifySessions int // that verify-steady asks for

	// Created are the sessions that get, verify, search and upstream-mix ask for. The first Hot of them upstream-mix asks for again and
	// again, and in a share of ColdShare of its verifies and gets for another one, each once. It creates some of the same users,
	// with this Password unless that is "".
	Created   *Created
	Hot       int
	ColdShare float64
	Password  string
	// HasVerify says that the target answers /verify; a ZITADEL does not, and is asked for session and token instead.
	HasVerify bool

	// Live and Cold are the tokens that verify-jwt and verify-jwt-cold show; nil where they are not asked for.
	Live, Cold *issuer.Tokens
}

var scenarios = map[string]func(Config) load.Scenario{
	"get-hot":         newGetHot,
	"cold-start":      newColdStart,
	"search-user":     newSearchUser,
	"search-mixed":    newSearchMixed,
	"search-admin":    newSearchAdmin,
	"search-costly":   newSearchCostly,
	"create":          newCreate,
	"login-storm":     newLoginStorm,
	"verify-steady":   newVerifySteady,
	"verify-jwt":      newVerifyJWT,
	"verify-jwt-cold": newVerifyColdJWT,
	"get-grpc":        newGetGRPC,
	"list-grpc":       newListGRPC,
	"verify-grpc":     newVerifyGRPC,
	"get":             newAboutCreated("get"),
	"verify":          newAboutCreated("verify"),
	"search":          newAboutCreated("search"),
	"upstream-mix":    newAboutCreated("upstream-mix"),
	"redis-raw":       func(c Config) load.Scenario { return raw{c} },
}

// New returns the scenario with that name. It fails if there is none.
func New(name string, c Config) (load.Scenario, error) {
	make, ok := scenarios[name]
	if !ok {
		return nil, fmt.Errorf("unknown scenario %q: %s", name, strings.Join(append(slices.Sorted(maps.Keys(scenarios)), "logout, logout-nginx, logout-jwt, logout-jwt-nginx, expiry-cliff, overload, costly-flood, crowd and new-connections (run only)"), ", "))
	}
	return make(c), nil
}

// head returns a request's first lines, without the body's length.
func (c Config) head(method, path string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: " + c.Host + "\r\nAuthorization: Bearer " + c.Key + "\r\nContent-Type: application/json\r\n"
}

// Get returns a whole GET request.
func (c Config) Get(path string) []byte { return []byte(c.head("GET", path) + "\r\n") }

// withBody returns a whole request.
func (c Config) withBody(method, path, body string) []byte {
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", c.head(method, path), len(body), body)
}
