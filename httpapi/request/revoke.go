package request

import (
	"fmt"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// MaxExcept bounds the sessions that a revocation may leave out.
const MaxExcept = 1000

// Revoke is RevokeSessionsRequest.
type Revoke struct {
	List
	// Except are sessions that stay.
	Except []session.ID
	// DryRun counts, and deletes nothing.
	DryRun bool
	all    bool
}

// DecodeRevoke reads a RevokeSessionsRequest of a caller. Its query sees all sessions:
// which of them the caller may delete is not part of it.
func DecodeRevoke(body []byte, c *caller.Caller) (*Revoke, error) {
	q := new(Revoke)
	q.Query.Sees = index.Sees{All: true}
	d := listDecoder{List: &q.List, caller: c, message: "RevokeSessionsRequest", strict: true}
	err := protojson.Decode(body, func(r *protojson.Reader) error {
		d.Reader = r
		r.RefuseUnknown("is not known here") // what is misspelt must not make it match more
		return r.Object(func(name string) error {
			switch name {
			case "queries":
				return d.Messages(d.searchQuery)
			case "exceptIds":
				return d.Array(func(i int) error {
					if i == MaxExcept {
						return d.Fail(fmt.Sprintf("must have at most %d IDs", MaxExcept))
					}
					var id string
					err := d.String(&id)
					q.Except = append(q.Except, session.ID(id))
					return err
				})
			case "all":
				return d.Bool(&q.all)
			case "dryRun":
				return d.Bool(&q.DryRun)
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, err
	case d.fault != nil:
		return nil, d.fault
	case len(q.Query.Predicates) == 0 && !q.all:
		return nil, invalid("RevokeSessionsRequest", "Queries", `must have at least one query, or "all" must be true`)
	case len(q.Query.Predicates) > 0 && q.all:
		return nil, invalid("RevokeSessionsRequest", "All", "must not be true together with queries")
	}
	return q, nil
}
