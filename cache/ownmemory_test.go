package cache

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

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
	took, held := heap()-before, p.NearStats().Sessions
	if held.Entries != copies || took > int64(held.Bytes) {
		t.Errorf("%d copies take %d bytes, counted are %d", held.Entries, took, held.Bytes)
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
		}
	}
}

// within is whether text lies in the memory of doc.
func within(text string, doc []byte) bool {
	at, from := uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(unsafe.Pointer(unsafe.SliceData(doc)))
	return at >= from && at-from < uintptr(len(doc))
}
