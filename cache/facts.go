package cache

import (
	"unicode/utf8"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/packed"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// factsOf is session.FactsOf for a document that packed.JoinDocument has just
// written: what that noted need not be looked for again.
func factsOf(doc []byte, notes *packed.Notes, f *session.Facts) error {
	if notes.Escaped {
		return session.FactsOf(doc, f)
	}
	id, user, org, agent := notes.ID(doc), notes.User(doc), notes.Org(doc), notes.Agent(doc)
	if !isText(id) || !isText(user) || !isText(org) || !isText(agent) {
		return errDamaged
	}
	*f = session.Facts{
		ID: session.ID(textIn(id)), UserID: textIn(user), OrgID: textIn(org), AgentID: textIn(agent), Creator: f.Creator,
		Creation: session.Time(notes.Creation), Expiration: session.Never, Sequence: notes.Sequence,
	}
	if notes.Expires {
		f.Expiration = session.Time(notes.Expiration)
	}
	return nil
}

// isText says whether b is valid UTF-8 without control characters.
func isText(b []byte) bool {
	ascii := true
	for _, c := range b {
		if c < ' ' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(b)
}

// textIn returns b as a text, which nobody may write to any more.
func textIn(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
