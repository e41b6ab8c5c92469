package cache

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/packed"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/klauspost/compress/s2"
)

// A stored document is a byte that says how it is stored, and the document.
const (
	storedPlain = 0 // as it is
	// storedSplit is taken apart by packed.SplitDocument: the length of the
	// binary part as a varint, that part, and the texts as an S2 block with
	// the dictionary.
	storedSplit = 2
)

// maxDocument bounds what a stored document may unpack to.
const maxDocument = 1 << 20

// dictionary holds what the texts of session documents have in common
// (dictionary_make.go). What is stored depends on it: it never changes.
//
//go:embed dictionary.bin
var dictionary []byte

var s2Dictionary = sync.OnceValue(func() *s2.Dict { return s2.MakeDict(dictionary, []byte("\x00user-agent\x00")) })

// scratch is memory to pack and unpack in.
type scratch struct{ bin, text, doc []byte }

var scratches = sync.Pool{New: func() any {
	return &scratch{make([]byte, 0, 256), make([]byte, 0, 1024), make([]byte, 0, 2048)}
}}

// release gives sc back, unless a large document made it large.
func (sc *scratch) release() {
	if cap(sc.bin)+cap(sc.text)+cap(sc.doc) <= 64<<10 {
		scratches.Put(sc)
	}
}

// appendDocument appends doc, packed for storage: taken apart, or plain if its
// parts do not give it back byte by byte.
func appendDocument(dst, doc []byte) []byte {
	sc := scratches.Get().(*scratch)
	defer sc.release()
	bin, text, ok := packed.SplitDocument(sc.bin[:0], sc.text[:0], doc)
	sc.bin, sc.text = bin[:0], text[:0]
	if ok {
		check, err := packed.JoinDocument(sc.doc[:0], bin, text, len(doc), new(packed.Notes))
		if ok = err == nil && bytes.Equal(check, doc); ok {
			sc.doc = check
		}
	}
	if !ok {
		return append(append(dst, storedPlain), doc...)
	}
	dst = append(dst, storedSplit)
	dst = binary.AppendUvarint(dst, uint64(len(bin)))
	dst = append(dst, bin...)
	dst = slices.Grow(dst, s2.MaxEncodedLen(len(text)))
	block := s2Dictionary().Encode(dst[len(dst):cap(dst)], text)
	return dst[:len(dst)+len(block)]
}

// appendUnpacked appends the document that appendDocument packed. notes are what
// it came by then.
func appendUnpacked(dst, stored []byte, notes *packed.Notes) ([]byte, error) {
	if len(stored) == 0 {
		return nil, errors.New("the stored document is empty")
	}
	switch version, block := stored[0], stored[1:]; version {
	case storedPlain:
		if len(block) > maxDocument {
			return nil, errTooLarge
		}
		*notes = packed.Notes{Escaped: true} // perhaps: nobody has looked
		return append(slices.Grow(dst, len(block)), block...), nil
	case storedSplit:
		return appendJoined(dst, block, notes)
	default:
		return nil, fmt.Errorf("the document is stored in version %d, which this program does not know", version)
	}
}

func appendJoined(dst, stored []byte, notes *packed.Notes) ([]byte, error) {
	n, size := binary.Uvarint(stored)
	if size <= 0 || n > uint64(len(stored)-size) {
		return nil, errDamaged
	}
	bin, block := stored[size:size+int(n)], stored[size+int(n):]
	sc := scratches.Get().(*scratch)
	defer sc.release()
	text, err := unblock(sc.text[:0], block)
	if err != nil {
		return nil, err
	}
	sc.text = text
	// Names and quotes make some five hundred bytes of a usual document.
	return packed.JoinDocument(slices.Grow(dst, 512+2*len(bin)+len(text)), bin, text, maxDocument, notes)
}

var errTooLarge = fmt.Errorf("the stored document has more than %d bytes", maxDocument)

// unblock appends what an S2 block unpacks to, at most maxDocument bytes.
func unblock(dst, block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if n > maxDocument {
		return nil, errTooLarge
	}
	dst = slices.Grow(dst, n)
	end := len(dst) + n
	if _, err := s2Dictionary().Decode(dst[len(dst):end], block); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return dst[:end], nil
}

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
