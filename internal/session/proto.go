package session

import (
	"encoding/base64"

	"github.com/cloakroom-dev/cloakroom/internal/protobuf"
	"google.golang.org/protobuf/encoding/protowire"
)

// AppendProto appends, as a field of a message, the message zitadel.session.v2.Session that
// the document stands for which text begins with; v2beta's has the same form. It returns
// what follows the document. It reads as FactsOf does: a document that AppendJSON did not
// write is an error, and then what was appended is worth nothing.
func AppendProto(b []byte, number protowire.Number, text []byte) (appended, rest []byte, err error) {
	w := protoWriter{scanner: scanner{doc: text, ok: true}, b: b}
	at := w.begin(number)
	w.session()
	w.end(at)
	if !w.ok {
		return w.b, nil, errNotCanonical
	}
	return w.b, text[w.pos:], nil
}

// protoWriter reads a document, and writes the fields that it finds.
type protoWriter struct {
	scanner
	b []byte
}

func (w *protoWriter) session() {
	w.open("{")
	w.text(`,"id":`, 1)
	w.must(`,"creationDate":`)
	w.timestamp(2)
	w.must(`,"changeDate":`)
	w.timestamp(3)
	w.must(`,"sequence":`)
	if n := w.uint64(); n != 0 {
		w.b = protobuf.AppendNumber(w.b, 4, n)
	}
	if w.has(`,"factors":`) {
		at := w.begin(5)
		w.factors()
		w.end(at)
	}
	if w.has(`,"metadata":`) {
		w.entries(func() { // of metadata
			at := w.begin(6)
			w.bytes(1, w.unquoted())
			w.must(":")
			w.base64(2)
			w.end(at)
		})
	}
	if w.has(`,"userAgent":`) {
		at := w.begin(7)
		w.userAgent()
		w.end(at)
	}
	if w.has(`,"expirationDate":`) {
		w.timestamp(8)
	}
	w.must("}")
}

func (w *protoWriter) factors() {
	w.open(`{"user":{`)
	user := w.begin(1)
	if w.has(`,"verifiedAt":`) {
		w.timestamp(1)
	}
	w.text(`,"id":`, 2)
	w.text(`,"loginName":`, 3)
	w.text(`,"displayName":`, 4)
	w.text(`,"organizationId":`, 6)
	w.must("}")
	w.end(user)
	for i, name := range factorMembers {
		if !w.has(name) {
			continue
		}
		at := w.begin(protowire.Number(i + 2))
		w.open("{")
		if w.has(`,"verifiedAt":`) {
			w.timestamp(1)
		}
		if w.has(`,"userVerified":`) && !w.has("false") {
			w.must("true")
			w.b = protobuf.AppendNumber(w.b, 2, 1)
		}
		w.must("}")
		w.end(at)
	}
	w.must("}")
}

func (w *protoWriter) userAgent() {
	w.open("{")
	w.text(`,"fingerprintId":`, 1)
	w.text(`,"ip":`, 2)
	w.text(`,"description":`, 3)
	if w.has(`,"header":`) {
		w.entries(func() {
			header := w.begin(4)
			w.bytes(1, w.unquoted())
			w.must(":{")
			values := w.begin(2)
			if w.has(`"values":[`) {
				w.bytes(1, w.unquoted())
				for w.has(",") {
					w.bytes(1, w.unquoted())
				}
				w.must("]")
			}
			w.must("}")
			w.end(values)
			w.end(header)
		})
	}
	w.must("}")
}

// entries reads a map, whose next entry entry reads.
func (w *protoWriter) entries(entry func()) {
	w.must("{")
	if w.has("}") {
		return
	}
	for entry(); w.has(","); entry() {
	}
	w.must("}")
}

// text writes a string if it is the next member.
func (w *protoWriter) text(name string, number protowire.Number) {
	if w.has(name) {
		w.bytes(number, w.unquoted())
	}
}

// unquoted reads a string.
func (w *protoWriter) unquoted() []byte {
	raw := w.raw()
	for _, c := range raw {
		if c == '\\' {
			text, ok := unescape(raw)
			w.ok = w.ok && ok
			return []byte(text)
		}
	}
	return raw
}

func (w *protoWriter) bytes(number protowire.Number, value []byte) {
	w.b = protobuf.AppendText(w.b, number, value)
}

// base64 reads a string of base64, and writes the bytes that it stands for.
func (w *protoWriter) base64(number protowire.Number) {
	at := w.begin(number)
	var err error
	w.b, err = base64.StdEncoding.AppendDecode(w.b, w.raw())
	w.ok = w.ok && err == nil
	w.end(at)
}

// timestamp reads a date, and writes it.
func (w *protoWriter) timestamp(number protowire.Number) {
	t := w.time().Std()
	at := w.begin(number)
	if s := t.Unix(); s != 0 {
		w.b = protobuf.AppendNumber(w.b, 1, uint64(s))
	}
	if n := t.Nanosecond(); n != 0 {
		w.b = protobuf.AppendNumber(w.b, 2, uint64(n))
	}
	w.end(at)
}

func (w *protoWriter) begin(number protowire.Number) (at int) {
	w.b, at = protobuf.Begin(w.b, number)
	return at
}

func (w *protoWriter) end(at int) { w.b = protobuf.End(w.b, at) }
