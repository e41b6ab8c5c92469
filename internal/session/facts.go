package session

import (
	"bytes"
	"errors"
	"unicode/utf8"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// errNotCanonical says that a document is not one that AppendJSON writes.
var errNotCanonical = errors.New("the stored document is not in canonical form")

// FactsOf reads the facts off a document that AppendJSON wrote, without
// decoding the rest of it. Creator, which is not in the document, is left as
// it is. A document of another shape is an error; f is undefined then. The
// texts in f share the memory of doc, which must not change any more: so a copy
// of a session is one piece of memory, and its ID is where its document begins.
func FactsOf(doc []byte, f *Facts) error {
	creator := f.Creator
	*f = Facts{Creator: creator, Expiration: Never}
	sc := scanner{doc: doc, ok: true}
	sc.open("{")
	if sc.has(`,"id":`) {
		f.ID = ID(sc.string())
	}
	sc.must(`,"creationDate":`)
	f.Creation = sc.time()
	sc.must(`,"changeDate":`)
	sc.raw()
	sc.must(`,"sequence":`)
	f.Sequence = sc.uint64()
	if sc.has(`,"factors":`) {
		sc.factors(f)
	}
	if sc.has(`,"metadata":`) {
		sc.skipObject()
	}
	if sc.has(`,"userAgent":`) {
		sc.userAgent(f)
	}
	if sc.has(`,"expirationDate":`) {
		f.Expiration = sc.time()
	}
	sc.must("}")
	if !sc.ok || sc.pos < len(doc) {
		return errNotCanonical
	}
	return nil
}

// scanner reads a document from its beginning. Once ok is false it stays so,
// and what was read is worth nothing.
type scanner struct {
	doc []byte
	pos int
	ok  bool
	// first says that the next member is the first of its object.
	first bool
}

func (sc *scanner) factors(f *Facts) {
	sc.open(`{"user":{`)
	if sc.has(`,"verifiedAt":`) {
		sc.raw()
	}
	if sc.has(`,"id":`) {
		f.UserID = sc.string()
	}
	if sc.has(`,"loginName":`) {
		sc.raw()
	}
	if sc.has(`,"displayName":`) {
		sc.raw()
	}
	if sc.has(`,"organizationId":`) {
		f.OrgID = sc.string()
	}
	sc.must("}")
	for _, name := range factorMembers {
		if sc.has(name) {
			sc.skipObject()
		}
	}
	sc.must("}")
}

func (sc *scanner) userAgent(f *Facts) {
	sc.open("{")
	if sc.has(`,"fingerprintId":`) {
		f.AgentID = sc.string()
	}
	if sc.has(`,"ip":`) {
		sc.raw()
	}
	if sc.has(`,"description":`) {
		sc.raw()
	}
	if sc.has(`,"header":`) {
		sc.skipObject()
	}
	sc.must("}")
}

// open passes over the beginning of an object.
func (sc *scanner) open(text string) {
	sc.must(text)
	sc.first = true
}

// has passes over text and says whether it was there. If text begins with a
// comma, that must be missing before the first member of an object.
func (sc *scanner) has(text string) bool {
	if sc.first && text[0] == ',' {
		text = text[1:]
	}
	end := sc.pos + len(text)
	if end > len(sc.doc) || string(sc.doc[sc.pos:end]) != text {
		return false
	}
	sc.pos, sc.first = end, false
	return true
}

// must passes over text, which has to be there.
func (sc *scanner) must(text string) {
	if !sc.has(text) {
		sc.stop()
	}
}

// raw reads a string and returns what is between its quotes, escapes and all.
func (sc *scanner) raw() []byte {
	sc.must(`"`)
	start := sc.pos
	for from := start; ; {
		n := bytes.IndexByte(sc.doc[from:], '"')
		if n < 0 {
			sc.stop()
			return nil
		}
		end := from + n
		if !escaped(sc.doc[start:end]) {
			sc.pos = end + 1
			return sc.doc[start:end]
		}
		from = end + 1
	}
}

// stop ends the reading, because the document is not canonical.
func (sc *scanner) stop() { sc.ok, sc.pos = false, len(sc.doc) }

// escaped says whether the quote behind text is escaped.
func escaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// skipObject passes over an object.
func (sc *scanner) skipObject() {
	sc.must("{")
	for depth := 1; depth > 0; {
		if sc.pos == len(sc.doc) {
			sc.stop()
			return
		}
		switch sc.doc[sc.pos] {
		case '"':
			sc.raw()
			continue
		case '{':
			depth++
		case '}':
			depth--
		}
		sc.pos++
	}
}

// time reads a date.
func (sc *scanner) time() Time {
	t, ok := protojson.ParseTime(sc.raw())
	sc.ok = sc.ok && ok
	return TimeOf(t)
}

// uint64 reads a string of digits.
func (sc *scanner) uint64() uint64 {
	raw := sc.raw()
	if len(raw) == 0 || len(raw) > 1 && raw[0] == '0' {
		sc.ok = false
	}
	var n uint64
	for _, c := range raw {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (1<<64-1-d)/10 {
			sc.ok = false
			return 0
		}
		n = n*10 + d
	}
	return n
}

// string reads a string. Only the escapes that AppendJSON writes are known.
func (sc *scanner) string() string {
	raw := sc.raw()
	for _, c := range raw {
		if c < ' ' {
			sc.ok = false
		}
	}
	if !utf8.Valid(raw) {
		sc.ok = false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return unsafe.String(unsafe.SliceData(raw), len(raw))
	}
	text, ok := unescape(raw)
	sc.ok = sc.ok && ok
	return text
}

func unescape(raw []byte) (text string, ok bool) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if i == len(raw) {
			return "", false
		}
		switch raw[i] {
		case '"', '\\':
			out = append(out, raw[i])
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			if len(raw) < i+5 || string(raw[i+1:i+3]) != "00" {
				return "", false
			}
			high, low := hexDigit(raw[i+3]), hexDigit(raw[i+4])
			if high > 1 || low > 15 {
				return "", false
			}
			out = append(out, high<<4|low)
			i += 4
		default:
			return "", false
		}
	}
	return string(out), true
}

// hexDigit returns the value of a lower-case hexadecimal digit, 255 for another character.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
