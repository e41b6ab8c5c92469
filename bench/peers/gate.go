package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
)

// ErrRefused says that a token is not good.
var ErrRefused = errors.New("the token is refused")

// Gate says whether JWTs are good. It is safe for concurrent use.
type Gate interface {
	// Verify returns what a good token says, which is not changed. It fails with ErrRefused if the token is
	// not good. It keeps nothing of token.
	Verify(ctx context.Context, token []byte) (*issuer.Claims, error)
	Close()
}

var gates = []struct {
	name  string
	knows []string // the scenarios
	open  func(i *issuer.Issuer) Gate
}{
	{"introspection", []string{"verify-jwt"}, openIntrospection},
	{"jwt-plain", []string{"verify-jwt", "verify-jwt-cold"}, openPlainJWT},
	{"jwt-cached", []string{"verify-jwt", "verify-jwt-cold"}, openCachedJWT},
}

// Gates are the names of all gates.
func Gates() []string {
	var names []string
	for _, g := range gates {
		names = append(names, g.name)
	}
	return names
}

// IsGate reports whether there is a gate with that name.
func IsGate(name string) bool { return slices.Contains(Gates(), name) }

// Answers reports whether the gate with that name knows a scenario.
func Answers(name, scenario string) bool {
	for _, g := range gates {
		if g.name == name {
			return slices.Contains(g.knows, scenario)
		}
	}
	return false
}

// OpenGate opens the gate with that name for tokens of the issuer in a directory.
func OpenGate(name, dir string) (Gate, error) {
	for _, g := range gates {
		if g.name == name {
			i, err := issuer.Open(dir)
			if err != nil {
				return nil, err
			}
			return g.open(i), nil
		}
	}
	return nil, fmt.Errorf("unknown gate %q: %s", name, strings.Join(Gates(), ", "))
}
