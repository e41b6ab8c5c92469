package httpapi

import (
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// routeWords stand where an ID would in the paths of calls: by some methods such
// a path is a call, by others it would be a session. A test compares them with
// the routes.
var routeWords = []string{"search", "import", "revoke"}

// storableID checks an ID that somebody else gives to a session that is to be
// stored.
func storableID(id string) error {
	if _, err := session.ParseID(id); err != nil {
		return err
	}
	if slices.Contains(routeWords, id) {
		return &session.InvalidError{Field: "id", Problem: "must not be search, import or revoke: these are calls"}
	}
	return nil
}
