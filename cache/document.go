package cache

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
)

// A stored document is a byte that says how it is stored, and the document.
// All of them stay readable for ever.
const (
	storedPlain = 0 // as it is
	storedS2    = 1 // an S2 block with dictionary 1
)

// maxDocument bounds what a stored document may unpack to.
const maxDocument = 1 << 20

// dictionary1 is what session documents have in common (dictionary_make.go).
// It never changes.
//
//go:embed dictionary.bin
var dictionary1 []byte

var dict1 = sync.OnceValue(func() *s2.Dict { return s2.MakeDict(dictionary1, []byte(`{"id":"`)) })

// encodeDocument packs doc for storage. It uses the memory of dst if that is
// large enough.
func encodeDocument(dst, doc []byte) []byte {
	dst = slices.Grow(dst[:0], 1+s2.MaxEncodedLen(len(doc)))
	block := dict1().Encode(dst[1:cap(dst)], doc)
	if len(block) >= len(doc) {
		return append(append(dst, storedPlain), doc...)
	}
	dst = dst[:1+len(block)]
	dst[0] = storedS2
	return dst
}

// decodeDocument unpacks what encodeDocument packed. It uses the memory of dst
// if that is large enough; the result never points into stored.
func decodeDocument(dst, stored []byte) ([]byte, error) {
	if len(stored) == 0 {
		return nil, errors.New("the stored document is empty")
	}
	switch version, block := stored[0], stored[1:]; version {
	case storedPlain:
		if len(block) > maxDocument {
			return nil, fmt.Errorf("the stored document has more than %d bytes", maxDocument)
		}
		return append(dst[:0], block...), nil
	case storedS2:
		n, err := s2.DecodedLen(block)
		if err != nil {
			return nil, fmt.Errorf("the stored document is damaged: %w", err)
		}
		if n > maxDocument {
			return nil, fmt.Errorf("the stored document has more than %d bytes", maxDocument)
		}
		doc, err := dict1().Decode(dst[:cap(dst)], block)
		if err != nil {
			return nil, fmt.Errorf("the stored document is damaged: %w", err)
		}
		return doc, nil
	default:
		return nil, fmt.Errorf("the document is stored in version %d, which this program does not know", version)
	}
}
