// Package caller identifies callers, and says what each may do: by an API key, by an
// access token of a configured issuer, or by a session token. For the log it says where
// a request came from. Look here for credentials of callers, permissions, limits of keys, and
// proxies that are believed. What a permission allows, each call of httpapi decides;
// session tokens that gateways ask about are not callers, but verify's.
package caller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Caller is the sender of a request, and what it may do. It is read-only: requests
// with the same API key share it.
type Caller struct {
	// Name is what logs call it: the API key's name, "anonymous", "session ID"
	// or "issuer NAME".
	Name string
	// UserID is the user, AgentID the fingerprint of the user agent; "" has none.
	UserID, AgentID string

	// Read, Write and Delete are the permissions.
	Read, Write, Delete Grant
	// rate is the API key's own limit, nil if it has none; limit is what holds.
	rate  *KeyRate
	limit *keyLimit
	// Upstream says that nothing is known of the caller here: the system of record decides what it may do.
	Upstream bool
	// Remote says that an issuer may have been asked about it.
	Remote bool
}

// anonymous is the caller without credentials, where that is allowed.
var anonymous = &Caller{
	Name: "anonymous", UserID: "anonymous",
	Read: Grant{All: true}, Write: Grant{All: true}, Delete: Grant{All: true},
}

// Grant is one permission. The zero Grant permits nothing.
type Grant struct {
	// All is for the whole instance.
	All bool
	// Orgs are organizations that it is for.
	Orgs []string
}

// Covers says whether the permission holds for a session of a user of org; ""
// is a session without a user, which only the whole instance covers.
func (g *Grant) Covers(org string) bool {
	return g.All || org != "" && slices.Contains(g.Orgs, org)
}

// Sees says which sessions the caller may read.
func (c *Caller) Sees() index.Sees {
	return index.Sees{All: c.Read.All, Orgs: c.Read.Orgs, UserID: c.UserID, AgentID: c.AgentID}
}

// MayDelete says whether the caller may delete s without its token.
func (c *Caller) MayDelete(s *session.Facts) bool {
	return c.UserID != "" && s.UserID == c.UserID || c.Delete.Covers(s.OrgID)
}

// Limited says whether the caller's API key has a limit.
func (c *Caller) Limited() bool { return c.limit != nil }

// Take takes a request from what the limit of the caller's API key allows at the time
// now. Its error, a *refusal.Error, says when to come again.
func (c *Caller) Take(now time.Time) error { return c.limit.take(now) }

// permit adds a permission such as "session.read" or "session.write@ORG". Its
// errors do not repeat the permission. (I6)
func (c *Caller) permit(permission string) error {
	name, org, scoped := strings.Cut(permission, "@")
	if scoped && org == "" {
		return errors.New("must have an organization after the @")
	}
	if len(org) > session.MaxNameLen {
		return fmt.Errorf("the organization must have at most %d characters", session.MaxNameLen)
	}
	var g *Grant
	switch name {
	case "session.read":
		g = &c.Read
	case "session.write":
		g = &c.Write
	case "session.delete":
		g = &c.Delete
	default:
		return errors.New("must be session.read, session.write or session.delete, with @ORG for one organization")
	}
	if !scoped {
		g.All = true
	} else if !slices.Contains(g.Orgs, org) {
		g.Orgs = append(g.Orgs, org)
	}
	return nil
}
