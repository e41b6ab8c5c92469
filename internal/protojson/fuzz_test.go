package protojson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var seeds = []string{
	``, `{}`, `null`, `[]`, `{}{}`, `{"a":1,"a":2}`, `{"text":"\ud83d\ude00\ud800"}`, "{\"text\":\"\xff\"}", `{"text":"a","maybe_text":"b","flag":true}`,
	`{"maybeText":"a","maybe_text":"b"}`, `{"big":"1.20e1","small":4294967295}`, `{"big":1e19}`, `{"big":-1}`, `{"big":0.1}`, `{"small":1e10}`,
	`{"names":["a",null]}`, `{"names":["\u0041"]}`, `{"data":"+/+/","entries":{"a":"_w","b":"YQ=="}}`, `{"data":"YQ="}`, `{"at":"2026-03-04T05:06:07.5+01:00"}`,
	`{"for":"-1.5s"}`, `{"method":"METHOD_GREATER"}`, `{"method":1.0}`, `{"method":2}`, `{"child":{"child":{"text":"x"}},"unknown":[{"a":{}}]}`,
	`{"items":[{},{"big":"7"}]}`, `{"oneA":1,"oneB":null}`, `{"oneA":1,"oneB":2}`, `{"text":null,"child":null,"entries":null}`, `{"\u0074ext":"a"}`,
	strings.Repeat(`{"child":`, 70) + `{}` + strings.Repeat(`}`, 70), `{"a":` + strings.Repeat(`[`, 63) + strings.Repeat(`]`, 63) + `}`,
}

// FuzzDecode compares Decode with encoding/json: what is accepted, and what it means.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		syntax := strict(body)
		err := Decode(body, func(r *Reader) error { return r.Object(func(string) error { return nil }) })
		if (err == nil) != (syntax == nil) {
			t.Fatalf("%q: skipping it all says %v, encoding/json says %v", body, err, syntax)
		}
		var got message
		err = Decode(body, got.decode)
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "proto: ") || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%q: odd error %v", body, err)
			}
		}
		// Whether the text is split makes no difference.
		var unsplit message
		if other := decodeText(body, false, unsplit.decode); fmt.Sprint(other) != fmt.Sprint(err) || err == nil && !reflect.DeepEqual(unsplit, got) {
			t.Fatalf("%q:\nsplit:   %+v, %v\nunsplit: %+v, %v", body, got, err, unsplit, other)
		}
		want, second := new(message), syntax
		if second == nil {
			second = want.secondOpinion(orEmpty(body))
		}
		if (err == nil) != (second == nil) {
			t.Fatalf("%q: Decode says %v, encoding/json says %v", body, err, second)
		}
		if err == nil && !reflect.DeepEqual(got, *want) {
			t.Fatalf("%q:\nDecode says        %+v\nencoding/json says %+v", body, got, *want)
		}
	})
}

func orEmpty(body []byte) []byte {
	if len(bytes.Trim(body, " \t\r\n")) == 0 {
		return []byte("{}")
	}
	return body
}

var (
	loneHigh = regexp.MustCompile(`(?i)\\uD[89AB][0-9A-F]{2}`)
	pair     = regexp.MustCompile(`(?i)\\uD[89AB][0-9A-F]{2}\\uD[C-F][0-9A-F]{2}`)
	loneLow  = regexp.MustCompile(`(?i)\\uD[C-F][0-9A-F]{2}`)
)

// strict says with encoding/json whether body is one object, valid UTF-8,
// without duplicate names and unpaired surrogates, and not too deep.
func strict(body []byte) error {
	body = orEmpty(body)
	if !json.Valid(body) || !utf8.Valid(body) {
		return errors.New("invalid JSON or UTF-8")
	}
	// Escaped backslashes first, so that what is left begins an escape.
	escapes := pair.ReplaceAll(bytes.ReplaceAll(body, []byte(`\\`), []byte("//")), nil)
	if loneHigh.Match(escapes) || loneLow.Match(escapes) {
		return errors.New("unpaired surrogate")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	type level struct {
		names map[string]bool // nil in an array
		value bool            // a name was read
	}
	var open []level
	for first := true; ; first = false {
		tok, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if first && tok != json.Delim('{') {
			return errors.New("no object")
		}
		top := len(open) - 1
		if name, ok := tok.(string); ok && top >= 0 && open[top].names != nil && !open[top].value {
			if open[top].names[name] {
				return errors.New("duplicate name")
			}
			open[top].names[name], open[top].value = true, true
			continue
		}
		if top >= 0 {
			open[top].value = false
		}
		switch tok {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		if len(open) > MaxDepth {
			return errors.New("too deep")
		}
	}
}

var (
	numberShape = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	errSecond   = errors.New("refused")
)

// secondOpinion decodes body, which is strict, with encoding/json.
func (m *message) secondOpinion(body []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return err
	}
	oneof := 0
	seen := map[string]bool{}
	for name, value := range raw {
		if camel, ok := snake[name]; ok {
			name = camel
		}
		if seen[name] {
			return errSecond
		}
		seen[name] = true
		if string(value) == "null" {
			continue
		}
		var err error
		switch name {
		case "text":
			err = json.Unmarshal(value, &m.Text)
		case "maybeText":
			err = json.Unmarshal(value, &m.Maybe)
		case "flag":
			err = json.Unmarshal(value, &m.Flag)
		case "big":
			m.Big, err = secondUint(value, 64)
		case "small":
			var n uint64
			n, err = secondUint(value, 32)
			m.Small = uint32(n)
		case "names":
			var list []*string
			err = json.Unmarshal(value, &list)
			m.Names = []string{}
			for _, s := range list {
				if s == nil {
					return errSecond
				}
				m.Names = append(m.Names, *s)
			}
		case "data":
			m.Data, err = secondBytes(value)
		case "at":
			var s string
			if err = json.Unmarshal(value, &s); err == nil {
				m.At, err = time.Parse(time.RFC3339Nano, s)
				m.At = m.At.UTC()
				if !rfc3339.MatchString(s) || m.At.Year() < 1 || m.At.Year() > 9999 {
					err = errSecond
				}
			}
		case "for":
			var s string
			if err = json.Unmarshal(value, &s); err == nil {
				d, ok := parseDuration([]byte(s)) // FuzzParseDuration has the second opinion
				m.For = d
				if !ok {
					err = errSecond
				}
			}
		case "method":
			err = m.secondEnum(value)
		case "entries":
			var entries map[string]json.RawMessage
			err = json.Unmarshal(value, &entries)
			for key, v := range entries {
				data, err := secondBytes(v)
				if err != nil {
					return err
				}
				if m.Entries == nil {
					m.Entries = map[string][]byte{}
				}
				m.Entries[key] = data
			}
		case "child":
			m.Child = new(message)
			err = m.Child.secondOpinion(value)
		case "items":
			var items []json.RawMessage
			err = json.Unmarshal(value, &items)
			for _, v := range items {
				item := new(message)
				if string(v) == "null" {
					return errSecond
				}
				if err := item.secondOpinion(v); err != nil {
					return err
				}
				m.Items = append(m.Items, item)
			}
		case "oneA", "oneB":
			m.Member = name
			oneof++
		}
		if err != nil {
			return err
		}
	}
	if oneof > 1 {
		return errSecond
	}
	return nil
}

// snake has the fields that can be written in two ways.
var snake = map[string]string{"maybe_text": "maybeText", "one_a": "oneA", "one_b": "oneB"}

func secondUint(value []byte, bits uint) (uint64, error) {
	text := string(value)
	if text[0] == '"' {
		if err := json.Unmarshal(value, &text); err != nil {
			return 0, err
		}
	}
	if !numberShape.MatchString(text) || text[0] == '-' {
		return 0, errSecond
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if strings.Trim(mantissa, "0.") == "" {
		return 0, nil
	}
	if len(exponent) > 4 { // far out of range, or far below 1
		trimmed := strings.TrimLeft(strings.TrimLeft(exponent, "+-"), "0")
		if len(trimmed) > 4 {
			return 0, errSecond
		}
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok || !n.IsInt() || n.Num().BitLen() > int(bits) {
		return 0, errSecond
	}
	return n.Num().Uint64(), nil
}

func (m *message) secondEnum(value []byte) error {
	if value[0] == '"' {
		var name string
		if err := json.Unmarshal(value, &name); err != nil {
			return err
		}
		n, ok := methods[name]
		if !ok {
			return errSecond
		}
		m.Method = n
		return nil
	}
	if !numberShape.Match(value) {
		return errSecond
	}
	n, err := secondUint(value, 31)
	if err != nil || n > 1 {
		return errSecond
	}
	m.Method = int32(n)
	return nil
}

func secondBytes(value []byte) ([]byte, error) {
	if string(value) == "null" {
		return nil, errSecond
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, err
	}
	if strings.ContainsAny(s, "\r\n") {
		return nil, errSecond
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if data, err := enc.DecodeString(s); err == nil {
			return data, nil
		}
	}
	return nil, errSecond
}
