package near

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/bounded"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// The size of a copy counts the texts outside its document, and no others.
func TestWeighSession(t *testing.T) {
	t.Parallel()
	for _, creator := range []string{"", "x", "gateway", "69629026806489455", "0123456789abcdef", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", strings.Repeat("long", 50)} {
		for _, token := range []session.TokenHash{{}, session.HashToken("token")} {
			s := sessionOf("188260000000000000", "2184808")
			s.Creator, s.Token = creator, token
			s.Factors.User.OrganizationID = `an "organization"` // which is unescaped
			read := stored(t, s)
			apart := copyBytes + len(creator) + cap(read.Doc) + len(read.OrgID)
			if got := weighSession(read.ID, read); int(got) != apart {
				t.Errorf("creator %q: %d bytes are counted, want %d", creator, got, apart)
			}
		}
	}
}

// TestNear_KeysAreOwned looks at what is held in addition to copies: no key and no ID is a part of
// the text that a caller took it from, nor of a document.
func TestNear_KeysAreOwned(t *testing.T) {
	t.Parallel()
	made := sessionOf("188260000000000000", "2184808")
	made.Token, made.TokenForeign = session.HashToken("foreign"), true
	read := stored(t, made)
	n := linked(t, Config{
		Read:        reads(read),
		ReadByToken: func(context.Context, batch.Doer, string) (*session.Stored, error) { return read, nil },
		Lists:       batch.NewLinkReads(answers(fmt.Sprintf("*1\r\n*2\r\n$%d\r\n%s\r\n,%d\r\n", len(made.ID), made.ID, made.CreationDate)), batch.Config{}),
	})
	larger := "a cookie with 99, 2184808"
	cookie := unsafe.Slice(unsafe.StringData(larger), len(larger))
	if s, err := n.Session(t.Context(), session.ID(larger[14:16])); s != nil || err != nil {
		t.Fatalf("99 is there: %v, %v", s, err)
	}
	if l, ok, err := n.List(t.Context(), larger[18:], nil); len(l) != 1 || !ok || err != nil {
		t.Fatalf("%+v, %v, %v", l, ok, err)
	}
	if s, err := n.ByToken(t.Context(), "foreign"); s != read || err != nil {
		t.Fatalf("%v, %v", s, err)
	}
	held := 0
	for id := range all(n.sessions.absent) {
		if held++; within(string(id), cookie) {
			t.Errorf("unknown ID %s is the caller's", id)
		}
	}
	for user, l := range all(n.lists.held) {
		if held++; within(user, cookie) || len(l.value.candidates) != 1 {
			t.Errorf("user %s is the caller's", user)
		}
	}
	for _, c := range all(n.tokens.held) {
		if held++; within(string(c.value), read.Doc) {
			t.Errorf("the ID of a token's session, %s, is a part of its document", c.value)
		}
	}
	if held != 3 {
		t.Errorf("%d are held", held)
	}
}

// all are the entries of a cache.
func all[K comparable, V any](c bounded.Cache[K, V]) iter.Seq2[K, V] {
	return c.(interface{ All() iter.Seq2[K, V] }).All()
}

// answers is a connection that answers each question with these replies.
type answers string

func (a answers) Ask(_ context.Context, _ []byte, _ int, take func([]byte)) error {
	take([]byte(a))
	return nil
}
