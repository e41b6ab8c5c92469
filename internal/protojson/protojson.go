// Package protojson reads and writes the JSON mapping of proto3, as far as
// ZITADEL's session API needs it. A message's decoder is a switch over field
// names:
//
//	r.Object(func(name string) error {
//		switch name {
//		case "id":
//			return r.String(&m.ID)
//		case "creationDate":
//			return r.Time(&m.CreationDate)
//		}
//		return nil // unknown: Object skips it, or refuses it after RefuseUnknown
//	})
//
// Reading is strict: duplicate names, invalid UTF-8, unpaired surrogates,
// trailing data and nesting deeper than MaxDepth are refused. Every error of
// this package is an *Error, which says where and what, and never repeats the
// value.
//
// It is the one package that knows the JSON library.
package protojson

import (
	"bytes"
	"io"
	"slices"
	"sync"

	"github.com/goccy/go-json/jsontext"
)

// MaxDepth is how many objects and arrays may be open at once.
const MaxDepth = 64

// Reader reads one JSON text, value by value. Its methods read the next value
// into their target, and leave the target as it is if the value is null, which
// means unset. After an error a Reader must not be used further.
type Reader struct {
	body   []byte
	tokens tokens
	path   []segment
	// seen holds the canonical names of the known fields that were read, for
	// all open objects.
	seen []string
	// names maps field names as written to canonical ones, so that they are
	// allocated once per Reader.
	names map[string]string
	// text is room for unescaped strings.
	text []byte
	// unknown is what is wrong with a field that nobody reads; "" skips it.
	unknown string
}

// maxNames and maxNameLen bound what a pooled Reader remembers.
const (
	maxNames   = 128
	maxNameLen = 32
)

var readers = sync.Pool{New: func() any { return &Reader{names: make(map[string]string)} }}

var emptyObject = []byte("{}")

// Decode reads body, one JSON object, with fn, which must call Object once. An
// empty body equals {}. Nothing that fn gets from the Reader points into body.
func Decode(body []byte, fn func(r *Reader) error) error { return decodeText(body, true, fn) }

// decodeText is Decode; ordinary says whether a text may be split.
func decodeText(body []byte, ordinary bool, fn func(r *Reader) error) error {
	if len(bytes.TrimLeft(body, " \t\r\n")) == 0 {
		body = emptyObject
	}
	r := readers.Get().(*Reader)
	r.body = body
	r.tokens.begin(body, ordinary)
	r.path, r.seen, r.unknown = r.path[:0], r.seen[:0], ""

	err := fn(r)
	if err == nil {
		end := r.valueStart()
		if e := r.tokens.readToken(); e != io.EOF {
			err = r.fail(end, "unexpected data after the end of the object")
		}
	}
	r.body = nil
	r.tokens.end()
	clear(r.path[:cap(r.path)])
	clear(r.seen[:cap(r.seen)])
	if len(r.names) >= maxNames {
		clear(r.names)
	}
	readers.Put(r)
	return err
}

// Without returns a message as it would be written without one of its members, whose name
// has no quotes, in memory of its own. What Decode does not take, or has no such member, is
// returned as it is.
func Without(body []byte, member string) []byte {
	from, to := -1, -1
	err := Decode(body, func(r *Reader) error {
		return r.Object(func(name string) error {
			if name != member {
				return nil
			}
			from = bytes.LastIndexByte(body[:r.tokens.offset()-1], '"')
			err := r.Skip()
			to = r.tokens.offset()
			return err
		})
	})
	if err != nil || from < 0 {
		return bytes.Clone(body)
	}
	const space = " \t\r\n"
	before, after := body[:from], body[to:]
	if b, ok := bytes.CutSuffix(bytes.TrimRight(before, space), []byte(",")); ok {
		before = b
	} else if a, ok := bytes.CutPrefix(bytes.TrimLeft(after, space), []byte(",")); ok {
		after = bytes.TrimLeft(a, space)
	}
	return slices.Concat(before, after)
}

// RefuseUnknown makes each field that is not read from now on an error, with this
// problem, in place of skipping it.
func (r *Reader) RefuseUnknown(problem string) { r.unknown = problem }

// Object reads an object and calls fn with the lowerCamel name of each field,
// which may be written in snake_case too. fn reads the value, or leaves an
// unknown one alone to have it skipped, or refused. A known field that is given twice, in
// whatever spelling, is an error.
func (r *Reader) Object(fn func(name string) error) error {
	if r.tokens.stackDepth() > 0 && r.Null() {
		return nil
	}
	if err := r.open(jsontext.KindBeginObject, "must be an object"); err != nil {
		return err
	}
	first := len(r.seen)
	for {
		raw, err := r.element(inMessage)
		if raw == nil || err != nil {
			r.seen = r.seen[:first]
			return err
		}
		name := r.fieldName(raw)
		r.path = append(r.path, segment{name: name})
		if slices.Contains(r.seen[first:], name) {
			return r.fail(r.lastStart(raw), duplicate)
		}
		before := r.tokens.offset()
		if err := fn(name); err != nil {
			return err
		}
		if r.tokens.offset() != before {
			r.seen = append(r.seen, name)
		} else if r.unknown != "" {
			return r.fail(r.lastStart(raw), r.unknown)
		} else if err := r.Skip(); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// Map reads an object whose names are keys of a map and calls fn with each, to
// read the value. null values are refused.
func (r *Reader) Map(fn func(key string) error) error {
	if r.Null() {
		return nil
	}
	if err := r.open(jsontext.KindBeginObject, "must be an object"); err != nil {
		return err
	}
	for {
		raw, err := r.element(inMap)
		if raw == nil || err != nil {
			return err
		}
		key := string(r.unquote(raw))
		r.path = append(r.path, segment{name: key, kind: inMap})
		if r.tokens.peekKind() == jsontext.KindNull {
			return r.Fail("must not be null")
		}
		if err := fn(key); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// Array reads an array and calls fn with the index of each element, to read
// it. null elements are refused.
func (r *Reader) Array(fn func(i int) error) error { return r.array(fn, false) }

// Messages reads an array of objects and calls fn with the index of each, to
// read it. A null element reads as an empty object.
func (r *Reader) Messages(fn func(i int) error) error { return r.array(fn, true) }

func (r *Reader) array(fn func(i int) error, nulls bool) error {
	if r.Null() {
		return nil
	}
	if err := r.open(jsontext.KindBeginArray, "must be an array"); err != nil {
		return err
	}
	for i := 0; ; i++ {
		r.path = append(r.path, segment{index: i, kind: inArray})
		switch r.tokens.peekKind() {
		case jsontext.KindEndArray:
			r.path = r.path[:len(r.path)-1]
			err := r.tokens.readToken()
			return r.syntax(err)
		case jsontext.KindNull:
			if !nulls {
				return r.Fail("must not be null")
			}
		case jsontext.KindInvalid:
			err := r.tokens.readToken()
			return r.syntax(err)
		}
		if err := fn(i); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// Null reads the next value if it is null, and says whether it was. A message
// whose presence counts is made after Null has said no.
func (r *Reader) Null() bool {
	if r.tokens.peekKind() != jsontext.KindNull {
		return false
	}
	err := r.tokens.readToken()
	return err == nil
}

// Member notes in *taken that the oneof has the member name. ok is false if
// the value is null, which was read then, or if there is an error, because
// another member was given before.
func (r *Reader) Member(taken *string, name string) (ok bool, err error) {
	if r.Null() {
		return false, nil
	}
	if *taken != "" {
		return false, r.Fail("must not be given together with " + *taken)
	}
	*taken = name
	return true, nil
}

// Skip reads the next value, whatever it is.
func (r *Reader) Skip() error {
	depth := r.tokens.stackDepth()
	for {
		if err := r.tokens.readToken(); err != nil {
			return r.syntax(err)
		}
		switch d := r.tokens.stackDepth(); {
		case d > MaxDepth:
			return r.tooDeep()
		case d <= depth:
			return nil
		}
	}
}

// open reads the beginning of an object or array.
func (r *Reader) open(kind jsontext.Kind, otherwise string) error {
	if err := r.want(kind, otherwise); err != nil {
		return err
	}
	if err := r.tokens.readToken(); err != nil {
		return r.syntax(err)
	}
	if r.tokens.stackDepth() > MaxDepth {
		return r.tooDeep()
	}
	return nil
}

// element reads the next name of an object, with its quotes, or nil at the end.
// in is inMessage or inMap.
func (r *Reader) element(in uint8) ([]byte, error) {
	if r.tokens.peekKind() == jsontext.KindEndObject {
		err := r.tokens.readToken()
		return nil, r.syntax(err)
	}
	raw, err := r.tokens.readScalar()
	if err != nil {
		return nil, r.syntaxIn(err, in)
	}
	return raw, nil
}

// want checks that the next value is of a kind, without reading it.
func (r *Reader) want(kind jsontext.Kind, otherwise string) error {
	switch got := r.tokens.peekKind(); got {
	case kind:
		return nil
	case jsontext.KindInvalid:
		err := r.tokens.readToken()
		return r.syntax(err)
	}
	return r.Fail(otherwise)
}

// fieldName returns the lowerCamel form of a name as written, with its quotes.
func (r *Reader) fieldName(raw []byte) string {
	written := r.unquote(raw)
	if name, ok := r.names[string(written)]; ok {
		return name
	}
	name := lowerCamel(string(written))
	if len(written) <= maxNameLen && len(r.names) < maxNames {
		r.names[string(written)] = name
	}
	return name
}

// lowerCamel turns snake_case into the lowerCamel name that the proto3 mapping
// gives it. What is not snake_case is returned as it is.
func lowerCamel(name string) string {
	out := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '_':
			if i == 0 || i+1 == len(name) || name[i+1] < 'a' || name[i+1] > 'z' {
				return name
			}
			i++
			out = append(out, name[i]-'a'+'A')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			out = append(out, c)
		default:
			return name
		}
	}
	return string(out)
}

// unquote returns the text of a JSON string that has been read. It is good
// until the next read.
func (r *Reader) unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	r.text, _ = jsontext.AppendUnquote(r.text[:0], raw) // checked when it was read
	return r.text
}
