package packed

import "bytes"

// Notes are what JoinDocument comes by while it writes a document, so that nobody
// has to look for it there.
type Notes struct {
	// Creation and Expiration are in microseconds since 1970. Expiration counts
	// only if Expires.
	Creation, Expiration int64
	Expires              bool
	Sequence             uint64
	// Escaped says that some text of the document may have an escaped character,
	// or, in one that is damaged, a quote: nothing else of the Notes counts then.
	Escaped bool
	texts   [notedTexts]span
}

// noted names a text of the Notes.
type noted uint8

const (
	notedNothing noted = iota
	notedID
	notedUser
	notedOrg
	notedAgent
	notedTexts
)

// span is a part of a document, without its quotes; its zero value is empty.
type span struct{ start, end int }

// ID returns the session's ID in a document that JoinDocument has returned, "" if it
// has none. It shares the document's memory, as do User, Org and Agent.
func (n *Notes) ID(doc []byte) []byte { return n.text(doc, notedID) }

// User returns the ID of the checked user.
func (n *Notes) User(doc []byte) []byte { return n.text(doc, notedUser) }

// Org returns the ID of the checked user's organization.
func (n *Notes) Org(doc []byte) []byte { return n.text(doc, notedOrg) }

// Agent returns the user agent's fingerprint ID.
func (n *Notes) Agent(doc []byte) []byte { return n.text(doc, notedAgent) }

func (n *Notes) text(doc []byte, which noted) []byte {
	s := n.texts[which]
	return doc[s.start:s.end]
}

// begin forgets an earlier document. text is the texts of the next.
func (n *Notes) begin(text []byte) {
	*n = Notes{Escaped: bytes.IndexByte(text, '"') >= 0 || bytes.IndexByte(text, '\\') >= 0}
}
