package cache

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cloakroom-dev/cloakroom/internal/packed"
	"github.com/klauspost/compress/s2"
)

// A stored document is a byte that says how it is stored, and the document.
// All of them stay readable for ever.
const (
	storedPlain = 0 // as it is
	storedS2    = 1 // an S2 block with dictionary 1
	// storedSplit is taken apart by packed.SplitDocument: the length of the
	// binary part as a varint, that part, and the texts as an S2 block with
	// dictionary 2.
	storedSplit = 2
)

// maxDocument bounds what a stored document may unpack to.
const maxDocument = 1 << 20

// The dictionaries hold what session documents (1) and their texts (2) have in
// common (dictionary_make.go). They never change.
var (
	//go:embed dictionary.bin
	dictionary1 []byte
	//go:embed dictionary2.bin
	dictionary2 []byte

	dict1 = sync.OnceValue(func() *s2.Dict { return s2.MakeDict(dictionary1, []byte(`{"id":"`)) })
	dict2 = sync.OnceValue(func() *s2.Dict { return s2.MakeDict(dictionary2, []byte("\x00user-agent\x00")) })
)

// scratch is memory to pack and unpack in.
type scratch struct{ bin, text, check []byte }

var scratches = sync.Pool{New: func() any {
	return &scratch{make([]byte, 0, 256), make([]byte, 0, 1024), make([]byte, 0, 2048)}
}}

// release gives sc back, unless a large document made it large.
func (sc *scratch) release() {
	if cap(sc.bin)+cap(sc.text)+cap(sc.check) <= 64<<10 {
		scratches.Put(sc)
	}
}

// encodeDocument packs doc for storage. It uses the memory of dst if that is
// large enough. What is packed has been unpacked once, and was the same.
func encodeDocument(dst, doc []byte) []byte {
	sc := scratches.Get().(*scratch)
	defer sc.release()
	if out, ok := encodeSplit(dst, doc, sc); ok {
		return out
	}
	dst = slices.Grow(dst[:0], 1+s2.MaxEncodedLen(len(doc)))
	block := dict1().Encode(dst[1:cap(dst)], doc)
	if len(block) >= len(doc) {
		return append(append(dst, storedPlain), doc...)
	}
	dst = dst[:1+len(block)]
	dst[0] = storedS2
	return dst
}

// encodeSplit is encodeDocument for a document in canonical form.
func encodeSplit(dst, doc []byte, sc *scratch) (out []byte, ok bool) {
	bin, text, ok := packed.SplitDocument(sc.bin[:0], sc.text[:0], doc)
	sc.bin, sc.text = bin[:0], text[:0]
	if !ok {
		return nil, false
	}
	check, err := packed.JoinDocument(sc.check[:0], bin, text, len(doc))
	if err != nil || !bytes.Equal(check, doc) {
		return nil, false
	}
	sc.check = check
	dst = append(dst[:0], storedSplit)
	dst = binary.AppendUvarint(dst, uint64(len(bin)))
	dst = append(dst, bin...)
	dst = slices.Grow(dst, s2.MaxEncodedLen(len(text)))
	block := dict2().Encode(dst[len(dst):cap(dst)], text)
	return dst[:len(dst)+len(block)], true
}

// decodeDocument unpacks what encodeDocument packed, and returns it behind head, in
// one piece of memory that is their own.
func decodeDocument(head string, stored []byte) ([]byte, error) {
	if len(stored) == 0 {
		return nil, errors.New("the stored document is empty")
	}
	switch version, block := stored[0], stored[1:]; version {
	case storedPlain:
		if len(block) > maxDocument {
			return nil, errTooLarge
		}
		return append(room(head, len(block)), block...), nil
	case storedS2:
		n, err := blockLen(block)
		if err != nil {
			return nil, err
		}
		return unblock(room(head, n), dict1(), block)
	case storedSplit:
		return decodeSplit(head, block)
	default:
		return nil, fmt.Errorf("the document is stored in version %d, which this program does not know", version)
	}
}

// room returns head, with room for n bytes behind it.
func room(head string, n int) []byte { return append(slices.Grow([]byte(nil), len(head)+n), head...) }

func decodeSplit(head string, stored []byte) ([]byte, error) {
	n, size := binary.Uvarint(stored)
	if size <= 0 || n > uint64(len(stored)-size) {
		return nil, errDamaged
	}
	bin, block := stored[size:size+int(n)], stored[size+int(n):]
	sc := scratches.Get().(*scratch)
	defer sc.release()
	text, err := unblock(sc.text[:0], dict2(), block)
	if err != nil {
		return nil, err
	}
	sc.text = text
	// Names and quotes make some five hundred bytes of a usual document.
	return packed.JoinDocument(room(head, 512+2*len(bin)+len(text)), bin, text, maxDocument)
}

var errTooLarge = fmt.Errorf("the stored document has more than %d bytes", maxDocument)

// blockLen is how many bytes an S2 block unpacks to, at most maxDocument.
func blockLen(block []byte) (int, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if n > maxDocument {
		return 0, errTooLarge
	}
	return n, nil
}

// unblock appends what an S2 block unpacks to.
func unblock(dst []byte, dict *s2.Dict, block []byte) ([]byte, error) {
	n, err := blockLen(block)
	if err != nil {
		return nil, err
	}
	dst = slices.Grow(dst, n)
	end := len(dst) + n
	if _, err := dict.Decode(dst[len(dst):end], block); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return dst[:end], nil
}
