package protojson

import (
	"bytes"
	"io"

	"github.com/goccy/go-json/jsontext"
)

// tokens reads a JSON text token by token. An ordinary text is split at once, which takes
// a fifth of the time that the library takes. The library reads every other one: those
// with escapes, characters beyond ASCII, fractions or deep nesting, and those with faults.
type tokens struct {
	dec jsontext.Decoder
	in  bytes.Buffer // that dec reads from
	// body is the text if it was split; then all are its tokens, and next is the first that was
	// not read yet.
	body  []byte
	all   []token
	next  int
	depth int // how many objects and arrays are open
	// names is room for split.
	names [][]byte
}

// token is a part of a text: a bracket, a name, or a scalar.
type token struct {
	kind       jsontext.Kind
	start, end int
}

// An ordinary text has no more than this.
const (
	mostDepth  = 16
	mostTokens = 512
	mostNames  = 64 // of the objects that are open at a time: each is compared with the others of its object
)

// begin begins to read body. ordinary says whether it may be split.
func (t *tokens) begin(body []byte, ordinary bool) {
	t.all, t.next, t.depth, t.body = t.all[:0], 0, 0, nil
	if ordinary && t.split(body) {
		t.body = body
		return
	}
	t.in = *bytes.NewBuffer(body)
	t.dec.Reset(&t.in)
}

// end forgets the text.
func (t *tokens) end() {
	if t.body == nil {
		t.in = bytes.Buffer{}
		t.dec.Reset(&t.in)
	}
	t.body = nil
	clear(t.names[:cap(t.names)])
}

// peekKind returns the kind of the next token, jsontext.KindInvalid if there is none.
func (t *tokens) peekKind() jsontext.Kind {
	switch {
	case t.body == nil:
		return t.dec.PeekKind()
	case t.next == len(t.all):
		return jsontext.KindInvalid
	}
	return t.all[t.next].kind
}

// readToken reads the next token, whatever it is. It answers io.EOF behind the text.
func (t *tokens) readToken() error {
	switch {
	case t.body == nil:
		_, err := t.dec.ReadToken()
		return err
	case t.next == len(t.all):
		return io.EOF
	}
	switch t.all[t.next].kind {
	case jsontext.KindBeginObject, jsontext.KindBeginArray:
		t.depth++
	case jsontext.KindEndObject, jsontext.KindEndArray:
		t.depth--
	}
	t.next++
	return nil
}

// readScalar reads the next token, which is a name or a scalar, and returns it as it is
// written. It is good until the next read.
func (t *tokens) readScalar() ([]byte, error) {
	if t.body == nil {
		return t.dec.ReadValue()
	}
	if err := t.readToken(); err != nil {
		return nil, err
	}
	last := t.all[t.next-1]
	return t.body[last.start:last.end], nil
}

// stackDepth returns how many objects and arrays are open.
func (t *tokens) stackDepth() int {
	if t.body == nil {
		return t.dec.StackDepth()
	}
	return t.depth
}

// offset returns where the last token that was read ends.
func (t *tokens) offset() int {
	switch {
	case t.body == nil:
		return int(t.dec.InputOffset())
	case t.next == 0:
		return 0
	}
	return t.all[t.next-1].end
}

// split splits body into tokens. It says no if body is not an ordinary text, whether it
// has a fault or not.
func (t *tokens) split(body []byte) bool {
	const (
		value     = iota // must come
		firstName        // or the end of the object
		name
		firstElement // or the end of the array
		behind       // a value: a comma, or the end
	)
	var open [mostDepth]struct {
		end   jsontext.Kind
		names int // where its names begin in t.names
	}
	t.names = t.names[:0]
	depth, want, i := 0, value, 0
	for {
		for i < len(body) && (body[i] == ' ' || body[i] == '\n' || body[i] == '\r' || body[i] == '\t') {
			i++
		}
		if i == len(body) {
			return depth == 0 && want == behind
		}
		if len(t.all) == mostTokens {
			return false
		}
		c := body[i]
		if (want == behind || want == firstName || want == firstElement) && depth > 0 && jsontext.Kind(c) == open[depth-1].end {
			t.all = append(t.all, token{jsontext.Kind(c), i, i + 1})
			depth--
			t.names = t.names[:open[depth].names]
			i, want = i+1, behind
			continue
		}
		switch want {
		case behind:
			if c != ',' || depth == 0 {
				return false
			}
			if want = value; open[depth-1].end == jsontext.KindEndObject {
				want = name
			}
			i++
			continue
		case firstName, name:
			end := stringEnd(body, i)
			if end < 0 || len(t.names) == mostNames {
				return false
			}
			for _, other := range t.names[open[depth-1].names:] {
				if bytes.Equal(other, body[i:end]) {
					return false
				}
			}
			t.names = append(t.names, body[i:end])
			t.all = append(t.all, token{jsontext.KindString, i, end})
			for i = end; i < len(body) && body[i] == ' '; i++ {
			}
			if i == len(body) || body[i] != ':' {
				return false
			}
			i, want = i+1, value
			continue
		}
		one := token{start: i}
		switch c {
		case '{', '[':
			if depth == mostDepth {
				return false
			}
			one.kind, one.end = jsontext.Kind(c), i+1
			open[depth].end, open[depth].names = jsontext.KindEndObject, len(t.names)
			if want = firstName; c == '[' {
				open[depth].end, want = jsontext.KindEndArray, firstElement
			}
			depth++
			t.all = append(t.all, one)
			i = one.end
			continue
		case '"':
			one.kind, one.end = jsontext.KindString, stringEnd(body, i)
		case 't':
			one.kind, one.end = jsontext.KindTrue, literalEnd(body, i, "true")
		case 'f':
			one.kind, one.end = jsontext.KindFalse, literalEnd(body, i, "false")
		case 'n':
			one.kind, one.end = jsontext.KindNull, literalEnd(body, i, "null")
		default:
			one.kind, one.end = jsontext.KindNumber, wholeEnd(body, i)
		}
		if one.end < 0 {
			return false
		}
		t.all = append(t.all, one)
		i, want = one.end, behind
	}
}

// stringEnd returns the end of the string that begins at i, -1 if it is not printable
// ASCII without escapes.
func stringEnd(body []byte, i int) int {
	if body[i] != '"' {
		return -1
	}
	for i++; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			return i + 1
		case c < ' ' || c > '~' || c == '\\':
			return -1
		}
	}
	return -1
}

// literalEnd returns the end of the literal that begins at i, -1 if it is another.
func literalEnd(body []byte, i int, literal string) int {
	if end := i + len(literal); end <= len(body) && string(body[i:end]) == literal {
		return end
	}
	return -1
}

// wholeEnd returns the end of the number that begins at i, -1 if it is anything but
// digits.
func wholeEnd(body []byte, i int) int {
	d, rest := digits(body[i:])
	if len(d) == 0 || d[0] == '0' && len(d) > 1 {
		return -1
	}
	return len(body) - len(rest)
}
