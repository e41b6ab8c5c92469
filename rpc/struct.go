package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/protobuf"
	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of google.protobuf.Value.
const (
	valueNull   = 1
	valueNumber = 2
	valueText   = 3
	valueBool   = 4
	valueStruct = 5
	valueList   = 6
)

var errNotCompact = errors.New("JSON has another form than it should")

// appendStruct appends the google.protobuf.Struct that a JSON object stands for, which is
// valid and has no spaces between its tokens, as a field of a message.
func appendStruct(b []byte, number protowire.Number, object []byte) ([]byte, error) {
	s := structWriter{b: b, json: object}
	s.object(number)
	if s.failed || len(s.json) > 0 {
		return b, errNotCompact
	}
	return s.b, nil
}

type structWriter struct {
	b, json []byte
	failed  bool
}

// has takes a token, if it is the next.
func (s *structWriter) has(token string) bool {
	if !bytes.HasPrefix(s.json, []byte(token)) {
		return false
	}
	s.json = s.json[len(token):]
	return true
}

func (s *structWriter) must(token string) { s.failed = s.failed || !s.has(token) }

func (s *structWriter) begin(number protowire.Number) (at int) {
	s.b, at = protobuf.Begin(s.b, number)
	return at
}

func (s *structWriter) end(at int) { s.b = protobuf.End(s.b, at) }

func (s *structWriter) object(number protowire.Number) {
	at := s.begin(number)
	s.must("{")
	for first := true; !s.failed && !s.has("}"); first = false {
		if !first {
			s.must(",")
		}
		entry := s.begin(1)
		s.text(1)
		s.must(":")
		value := s.begin(2)
		s.value()
		s.end(value)
		s.end(entry)
	}
	s.end(at)
}

func (s *structWriter) value() {
	switch {
	case len(s.json) == 0:
		s.failed = true
	case s.json[0] == '{':
		s.object(valueStruct)
	case s.json[0] == '"':
		s.text(valueText)
	case s.has("["):
		at := s.begin(valueList)
		for first := true; !s.failed && !s.has("]"); first = false {
			if !first {
				s.must(",")
			}
			value := s.begin(1)
			s.value()
			s.end(value)
		}
		s.end(at)
	case s.has("null"):
		s.b = protobuf.AppendNumber(s.b, valueNull, 0)
	case s.has("true"):
		s.b = protobuf.AppendNumber(s.b, valueBool, 1)
	case s.has("false"):
		s.b = protobuf.AppendNumber(s.b, valueBool, 0)
	default:
		n := bytes.IndexAny(s.json, ",]}")
		if n < 0 {
			n = len(s.json)
		}
		number, err := strconv.ParseFloat(string(s.json[:n]), 64)
		s.failed = s.failed || err != nil
		s.json = s.json[n:]
		s.b = protowire.AppendFixed64(protowire.AppendTag(s.b, valueNumber, protowire.Fixed64Type), math.Float64bits(number))
	}
}

// text writes a text.
func (s *structWriter) text(number protowire.Number) {
	if !s.has(`"`) {
		s.failed = true
		return
	}
	for i := 0; i < len(s.json); i++ {
		switch s.json[i] {
		case '"':
			s.b = protobuf.AppendText(s.b, number, s.json[:i])
			s.json = s.json[i+1:]
			return
		case '\\':
			s.escaped(number)
			return
		}
	}
	s.failed = true
}

// escaped writes a text that has escapes.
func (s *structWriter) escaped(number protowire.Number) {
	for i := 0; i < len(s.json); i++ {
		switch s.json[i] {
		case '\\':
			i++
		case '"':
			var text string
			err := json.Unmarshal(append(append([]byte{'"'}, s.json[:i]...), '"'), &text)
			s.failed = s.failed || err != nil
			s.b = protobuf.AppendText(s.b, number, text)
			s.json = s.json[i+1:]
			return
		}
	}
	s.failed = true
}
