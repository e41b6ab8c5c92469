package protojson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-json/jsontext"
)

// Error says what is wrong with a JSON text, and where. It never holds a value
// of the text. (I6)
type Error struct {
	// Path is the field, in JSON names: "queries[0].idsQuery.ids[3]"; "" is
	// the whole text.
	Path string
	// Line and Column, in characters, are where the problem begins; both count from 1.
	Line, Column int
	// Problem is a phrase such as "must be a string".
	Problem string
}

// Error returns position, path and problem in one line.
func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("proto: (line %d:%d): %s", e.Line, e.Column, e.Problem)
	}
	return fmt.Sprintf("proto: (line %d:%d): %s: %s", e.Line, e.Column, e.Path, e.Problem)
}

const duplicate = "is given twice"

// Fail returns an error about the next value, or about the value just read if
// there is no next one in its object.
func (r *Reader) Fail(problem string) error { return r.fail(r.valueStart(), problem) }

// failLast returns an error about the value that was just read.
func (r *Reader) failLast(raw []byte, problem string) error {
	return r.fail(r.lastStart(raw), problem)
}

func (r *Reader) tooDeep() error {
	return r.fail(r.tokens.offset(), fmt.Sprintf("must not be nested deeper than %d levels", MaxDepth))
}

func (r *Reader) fail(offset int, problem string) error {
	before := r.body[:min(max(offset, 0), len(r.body))]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return &Error{
		Path:    r.where(),
		Line:    bytes.Count(before, []byte("\n")) + 1,
		Column:  utf8.RuneCount(line) + 1,
		Problem: problem,
	}
}

// syntax turns an error of the JSON library into one of ours; nil stays nil.
func (r *Reader) syntax(err error) error { return r.syntaxIn(err, inMessage) }

// syntaxIn is syntax, where a name that is not in the path yet is in a message or
// in a map.
func (r *Reader) syntaxIn(err error, in uint8) error {
	if err == nil {
		return nil
	}
	offset, problem := len(r.body), "syntax error"
	var s *jsontext.SyntacticError
	if errors.As(err, &s) {
		offset, err = int(s.ByteOffset), s.Err
	}
	switch text := err.Error(); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		offset, problem = len(r.body), "unexpected end"
	case errors.Is(err, jsontext.ErrDuplicateName):
		problem = duplicate
		r.within(s, in)
	case errors.Is(err, jsontext.ErrNonStringName):
		problem = "a name must be a string"
	case strings.Contains(text, "UTF-8"):
		problem = "invalid UTF-8"
	case strings.Contains(text, "surrogate"):
		problem = "unpaired surrogate"
	case strings.Contains(text, "escape"):
		problem = "invalid escape sequence"
	}
	return r.fail(offset, problem)
}

// within adds to the path what lies between the value being read and the one
// that s is about, the name itself included.
func (r *Reader) within(s *jsontext.SyntacticError, in uint8) {
	if s == nil {
		return
	}
	depth := 0
	for name := range s.JSONPointer.Tokens() {
		if depth++; depth > len(r.path) {
			r.path = append(r.path, segment{name: name, kind: in})
		}
	}
}

// valueStart is the offset of the next value.
func (r *Reader) valueStart() int {
	i := r.tokens.offset()
	for i < len(r.body) && strings.IndexByte(" \t\r\n:,", r.body[i]) >= 0 {
		i++
	}
	return i
}

// lastStart is the offset of raw, which was just read.
func (r *Reader) lastStart(raw []byte) int { return r.tokens.offset() - len(raw) }

// segment is one step of a path.
type segment struct {
	name  string
	index int
	kind  uint8
}

// What a segment is in.
const (
	inMessage uint8 = iota
	inMap
	inArray
)

// maxShown is the longest name that a path shows.
const maxShown = 40

func (r *Reader) where() string {
	var b strings.Builder
	for _, s := range r.path {
		switch {
		case s.kind == inArray:
			fmt.Fprintf(&b, "[%d]", s.index)
			continue
		case s.kind == inMap:
			b.WriteByte('[')
			if len(s.name) <= maxShown {
				b.WriteString(strconv.Quote(s.name))
			} else {
				b.WriteString("…")
			}
			b.WriteByte(']')
			continue
		case b.Len() > 0:
			b.WriteByte('.')
		}
		if plain(s.name) {
			b.WriteString(s.name)
		} else {
			b.WriteString("…")
		}
	}
	return b.String()
}

// plain says whether name looks like a field's.
func plain(name string) bool {
	if name == "" || len(name) > maxShown {
		return false
	}
	for _, c := range name {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
