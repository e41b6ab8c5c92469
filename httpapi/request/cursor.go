package request

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// cursor says where a page of ListSessions ends, so that the next one can go on
// there. Clients take it for an opaque text. It has nothing that its client does
// not know already, and grants nothing: what the caller may see is asked for
// each page. No process keeps anything for it, so any other may go on.
type cursor struct {
	ascending bool
	// search is a hash of the queries, so that a cursor of another search is not
	// taken for one of this.
	search [8]byte
	// last is the position of the last session of the page.
	last index.Candidate
}

// A cursor is a byte with the version of its form and the direction, 8 bytes of
// the hash, 8 of the creation date, and the session ID, in URL-safe base64.
const (
	cursorVersion   = 1
	cursorAscending = 0x80
	cursorHead      = 1 + 8 + 8
)

var (
	cursorCoding = base64.RawURLEncoding
	maxCursorLen = cursorCoding.EncodedLen(cursorHead + session.MaxIDLen)

	errCursor = &session.InvalidError{Field: "query.cursor", Problem: `must be "", which begins, or the nextCursor of an answer`}
	// errOtherSearch is the fault of a cursor that is good for another search.
	errOtherSearch = &session.InvalidError{Field: "query.cursor", Problem: "comes from a search with other queries or in another order"}
)

func (c *cursor) String() string {
	b := make([]byte, 1, cursorHead+session.MaxIDLen)
	b[0] = cursorVersion
	if c.ascending {
		b[0] |= cursorAscending
	}
	b = append(b, c.search[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.last.Creation))
	return cursorCoding.EncodeToString(append(b, c.last.ID...))
}

// parseCursor reads what String wrote. Of each cursor there is one form.
func parseCursor(text string) (c cursor, ok bool) {
	if len(text) > maxCursorLen {
		return c, false
	}
	b, err := cursorCoding.DecodeString(text)
	if err != nil || len(b) <= cursorHead || b[0]&^cursorAscending != cursorVersion {
		return c, false
	}
	id, err := session.ParseID(string(b[cursorHead:]))
	if err != nil {
		return c, false
	}
	c = cursor{ascending: b[0]&cursorAscending != 0, search: [8]byte(b[1:9]), last: index.Candidate{Creation: session.Time(binary.BigEndian.Uint64(b[9:cursorHead])), ID: id}}
	inside := c.last.Creation >= 0 && c.last.Creation < session.MaxScore
	return c, inside && c.String() == text // the decoder passes over line breaks and spare bits
}

// searchHash names the queries of q, the same in every process. Whatever differs
// in what they match, or in their sequence, differs here.
func searchHash(q *index.Query) [8]byte {
	var b []byte
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	for i := range q.Predicates {
		p := &q.Predicates[i]
		b = append(b, byte(p.Kind))
		switch p.Kind {
		case index.KindIDs:
			b = binary.AppendUvarint(b, uint64(len(p.IDs())))
			for _, id := range p.IDs() {
				text(string(id))
			}
		case index.KindCreation, index.KindExpiration:
			b = binary.BigEndian.AppendUint64(b, uint64(p.Dates.Min))
			b = binary.BigEndian.AppendUint64(b, uint64(p.Dates.Max))
		default:
			text(p.Value)
		}
	}
	sum := sha256.Sum256(b)
	return [8]byte(sum[:])
}

// goOn has the page begin where the cursor of the request says.
func (q *List) goOn() error {
	if q.cursor == nil {
		return nil
	}
	q.Query.Cursor = &index.Candidate{}
	if *q.cursor == "" {
		return nil
	}
	c, ok := parseCursor(*q.cursor)
	if !ok {
		return errCursor
	}
	if c.ascending != q.Query.Ascending || c.search != searchHash(&q.Query) {
		return errOtherSearch
	}
	q.Query.Cursor = &c.last
	return nil
}

// NextCursor is what the page after this one begins with, "" if there is none or
// it was not asked for.
func NextCursor(q *index.Query, page *index.Page) string {
	if !page.More {
		return ""
	}
	last := page.Sessions[len(page.Sessions)-1]
	c := cursor{ascending: q.Ascending, search: searchHash(q), last: index.Candidate{Creation: last.Creation, ID: last.ID}}
	return c.String()
}
