package httpapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// caller is who sends a request, and what it may do. It is read-only: requests
// with the same API key share it.
type caller struct {
	// name is what logs call it: the API key's name, "anonymous", "session ID"
	// or "issuer NAME".
	name    string
	userID  string
	agentID string

	read, write, delete grant
	// rate is the API key's own limit, nil if it has none; limit is what holds.
	rate  *KeyRate
	limit *keyLimit
	// remote says that an issuer may have been asked about it.
	remote bool
}

// anonymous is the caller without credentials, where that is allowed.
var anonymous = &caller{
	name: "anonymous", userID: "anonymous",
	read: grant{all: true}, write: grant{all: true}, delete: grant{all: true},
}

// grant is one permission: for the whole instance, or for organizations.
type grant struct {
	all  bool
	orgs []string
}

// covers says whether the permission holds for a session of a user of org; ""
// is a session without a user, which only the whole instance covers.
func (g *grant) covers(org string) bool {
	return g.all || org != "" && slices.Contains(g.orgs, org)
}

// sees says which sessions the caller may read.
func (c *caller) sees() index.Sees {
	return index.Sees{All: c.read.all, Orgs: c.read.orgs, UserID: c.userID, AgentID: c.agentID}
}

// mayDelete says whether the caller may delete s without its token.
func (c *caller) mayDelete(s *session.Facts) bool {
	return c.userID != "" && s.UserID == c.userID || c.delete.covers(s.OrgID)
}

// permit adds a permission such as "session.read" or "session.write@ORG". Its
// errors do not repeat the permission. (I6)
func (c *caller) permit(permission string) error {
	name, org, scoped := strings.Cut(permission, "@")
	if scoped && org == "" {
		return errors.New("must have an organization after the @")
	}
	if len(org) > session.MaxNameLen {
		return fmt.Errorf("the organization must have at most %d characters", session.MaxNameLen)
	}
	var g *grant
	switch name {
	case "session.read":
		g = &c.read
	case "session.write":
		g = &c.write
	case "session.delete":
		g = &c.delete
	default:
		return errors.New("must be session.read, session.write or session.delete, with @ORG for one organization")
	}
	if !scoped {
		g.all = true
	} else if !slices.Contains(g.orgs, org) {
		g.orgs = append(g.orgs, org)
	}
	return nil
}
