package request

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// A process may get a cursor that another version of the program has written.
func TestCursorForm(t *testing.T) {
	q := &index.Query{Ascending: true, Predicates: []index.Predicate{
		index.ByUser("u1"), index.ByIDs("b", "a"), index.ByCreation(index.Dates{Min: 1, Max: session.Never}),
	}}
	page := &index.Page{More: true, Sessions: []*session.Stored{{}, {Facts: session.Facts{ID: "s-1", Creation: 1_700_000_000_000_001}}}}
	const want = "gVgjW6dKA9JcAAYKJBgeQAFzLTE"
	if got := NextCursor(q, page); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c, ok := parseCursor(want); !ok || c.last.ID != "s-1" || c.last.Creation != 1_700_000_000_000_001 || !c.ascending || c.search != searchHash(q) {
		t.Errorf("got %+v, %v", c, ok)
	}
	if got := NextCursor(q, &index.Page{}); got != "" {
		t.Errorf("the last page has the cursor %s", got)
	}
}

// Searches that do not match the same have another hash.
func TestCursorHash(t *testing.T) {
	seen := map[[8]byte]int{}
	for i, ps := range [][]index.Predicate{
		nil,
		{index.ByUser("")},
		{index.ByUser("a")},
		{index.ByUser("ab")},
		{index.ByCreator("a")},
		{index.ByAgent("a")},
		{index.ByUser("a"), index.ByUser("b")},
		{index.ByUser("a\x01b")},
		{index.ByUser("a"), index.ByCreator("b")},
		{index.ByIDs()},
		{index.ByIDs("a")},
		{index.ByIDs("a", "b")},
		{index.ByIDs("ab")},
		{index.ByIDs("a"), index.ByIDs("b")},
		{index.ByCreation(index.Dates{Min: 1, Max: 2})},
		{index.ByCreation(index.Dates{Min: 1, Max: 3})},
		{index.ByExpiration(index.Dates{Min: 1, Max: 2})},
	} {
		h := searchHash(&index.Query{Predicates: ps})
		if j, twice := seen[h]; twice {
			t.Errorf("searches %d and %d have one hash", j, i)
		}
		seen[h] = i
	}
	if searchHash(&index.Query{Predicates: []index.Predicate{index.ByIDs("b", "a", "b")}}) != searchHash(&index.Query{Predicates: []index.Predicate{index.ByIDs("a", "b")}}) {
		t.Error("the sequence of IDs counts")
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, id := range []session.ID{"a", "1700000000000000000", session.ID(strings.Repeat("z", session.MaxIDLen))} {
		for _, ascending := range []bool{true, false} {
			c := cursor{ascending: ascending, search: [8]byte{1, 255}, last: index.Candidate{Creation: session.MaxScore - 1, ID: id}}
			f.Add(c.String())
		}
	}
	for _, seed := range []string{"", "AQ", "AQ==", strings.Repeat("A", 300), "AQ\r\n", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseCursor(text)
		q := List{cursor: &text}
		if err := q.goOn(); text == "" {
			if ok || err != nil || q.Query.Cursor == nil || *q.Query.Cursor != (index.Candidate{}) {
				t.Errorf("the beginning is %+v, %v", q.Query.Cursor, err)
			}
			return
		} else if !ok && err != errCursor || ok && err == errCursor {
			t.Errorf("%q: %v, though %v", text, err, ok)
		}
		if !ok {
			return
		}
		if len(text) > maxCursorLen || c.String() != text {
			t.Errorf("%q was taken, and is written %q", text, c.String())
		}
		if _, err := session.ParseID(string(c.last.ID)); err != nil || c.last.Creation < 0 || c.last.Creation >= session.MaxScore {
			t.Errorf("%q was taken for %+v", text, c.last)
		}
	})
}
