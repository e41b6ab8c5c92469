package cache

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// TestNear_CopiesTakeWhatIsCounted holds many copies whose creators are stored as
// they are, not as numbers, and looks at the heap: what Redis answered is not kept beside them.
func TestNear_CopiesTakeWhatIsCounted(t *testing.T) {
	const copies = 2000
	p := openNear(t, Config{Redis: redistest.Start(t).Client(t), NearBytes: 64 << 20, NearStaleness: testBound})
	p.run()
	p.await("the near cache is usable", p.usable)
	ids := make([]session.ID, copies)
	noise := make([]byte, 3000)
	for i := range ids {
		ids[i] = session.ID(fmt.Sprintf("s%06d", i))
		_, _ = rand.Read(noise) // that nothing packs
		s := sessionOf(string(ids[i]), "user", 1)
		s.Creator, s.Metadata = "gateway", map[string][]byte{"noise": noise}
		if err := p.Put(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	for _, id := range ids {
		if _, err := p.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	took, counted, held := heap()-before, int64(0), 0
	for id, c := range p.near.sessions.copies.All() {
		counted += int64(weighSession(id, c.value))
		held++
	}
	if held != copies || took > counted {
		t.Errorf("%d copies take %d bytes, counted are %d", held, took, counted)
	}
	runtime.KeepAlive(ids)
}

// heap is how many bytes of the heap are in use.
func heap() int64 {
	for range 3 { // pools give up in the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStoredOf_OwnsItsTexts looks where the texts of what was read are.
func TestStoredOf_OwnsItsTexts(t *testing.T) {
	t.Parallel()
	for _, creator := range []string{"", "x", "gateway", "69629026806489455", "0123456789abcdef", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", strings.Repeat("long", 50)} {
		for _, token := range []session.TokenHash{{}, session.HashToken("token")} {
			s := sessionOf("188260000000000000", "2184808", 1)
			s.Creator, s.Token = creator, token
			s.Factors.User.OrganizationID = `an "organization"` // which is unescaped
			field := string(appendStored(nil, s))
			stored, err := storedOf(field)
			if err != nil {
				t.Fatal(err)
			}
			facts := s.Facts()
			if stored.Facts != facts {
				t.Errorf("%+v, want %+v", stored.Facts, facts)
			}
			for _, text := range []string{stored.Creator, string(stored.ID), stored.UserID, stored.AgentID, stored.OrgID} {
				if text != "" && within(text, bytesOf(field)) {
					t.Errorf("%q is a part of what was read", text)
				}
			}
			if creator != "" && within(stored.Creator, stored.Doc[:cap(stored.Doc)]) {
				t.Errorf("who appends to the document writes over creator %q", creator)
			}
			apart := copyBytes + len(creator) + cap(stored.Doc) + len(stored.OrgID)
			if got := weighSession(stored.ID, stored); int(got) != apart {
				t.Errorf("creator %q: %d bytes are counted, want %d", creator, got, apart)
			}
		}
	}
}

// TestNear_KeysAreOwned looks at what is held besides copies: no key and no ID is a part of
// the text that a caller took it from, nor of a document.
func TestNear_KeysAreOwned(t *testing.T) {
	t.Parallel()
	p := startNear(t, redistest.Start(t).Client(t), 1)
	s := sessionOf("188260000000000000", "2184808", 1)
	s.Token, s.TokenForeign = session.HashToken("foreign"), true
	if err := p.Put(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	larger := "a cookie with 99, 2184808"
	cookie := bytesOf(larger)
	if _, err := p.Get(t.Context(), session.ID(larger[14:16])); err == nil {
		t.Fatal("99 is there")
	}
	q := &index.Query{Sees: index.Sees{All: true}, Limit: 1, Predicates: []index.Predicate{index.ByUser(larger[18:])}}
	if page, err := p.Search(t.Context(), q); err != nil || page.Total != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	stored, err := p.GetByToken(t.Context(), "foreign")
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for id := range p.near.sessions.absent.Keys() {
		if held++; within(string(id), cookie) {
			t.Errorf("unknown ID %s is the caller's", id)
		}
	}
	for user, l := range p.near.lists.copies.All() {
		if held++; within(user, cookie) || len(l.value.candidates) != 1 {
			t.Errorf("user %s is the caller's", user)
		}
	}
	for _, c := range p.near.tokens.copies.All() {
		if held++; within(string(c.value), stored.Doc) {
			t.Errorf("the ID of a token's session, %s, is a part of its document", c.value)
		}
	}
	if held != 3 {
		t.Errorf("%d are held", held)
	}

	g := newGraves(10)
	g.dig(stored.ID, stored.Sequence, p.Now(), p.Now())
	if g.pass(stored, p.Now()) != nil {
		t.Fatal("it passes its grave")
	}
	if id := <-g.again; id != stored.ID || within(string(id), stored.Doc) {
		t.Errorf("what is to be deleted again, %s, is a part of its document", id)
	}
	for id := range g.stripe(stored.ID).of {
		if within(string(id), stored.Doc) {
			t.Errorf("the key of a grave, %s, is a part of a document", id)
		}
	}
}
