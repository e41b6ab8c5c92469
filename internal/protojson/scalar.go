package protojson

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"

	"github.com/goccy/go-json/jsontext"
)

// String reads a string.
func (r *Reader) String(dst *string) error {
	raw, err := r.stringValue("must be a string")
	if raw != nil {
		*dst = string(r.unquote(raw))
	}
	return err
}

// OptionalString reads a string whose presence counts: *dst stays nil if it is null.
func (r *Reader) OptionalString(dst **string) error {
	raw, err := r.stringValue("must be a string")
	if raw != nil {
		s := string(r.unquote(raw))
		*dst = &s
	}
	return err
}

// Strings reads an array of strings. An empty array is an empty slice, not nil.
func (r *Reader) Strings(dst *[]string) error {
	if r.Null() {
		return nil
	}
	list := []string{}
	err := r.Array(func(int) error {
		var s string
		if err := r.String(&s); err != nil {
			return err
		}
		list = append(list, s)
		return nil
	})
	*dst = list
	return err
}

// Bool reads true or false.
func (r *Reader) Bool(dst *bool) error {
	switch r.tokens.peekKind() {
	case jsontext.KindNull:
	case jsontext.KindTrue:
		*dst = true
	case jsontext.KindFalse:
		*dst = false
	case jsontext.KindInvalid:
	default:
		return r.Fail("must be true or false")
	}
	err := r.tokens.readToken()
	return r.syntax(err)
}

// Bytes reads base64, in the standard or the URL alphabet, padded or not. The
// result is not nil.
func (r *Reader) Bytes(dst *[]byte) error {
	raw, err := r.stringValue("must be a base64 string")
	if raw == nil || err != nil {
		return err
	}
	text := r.unquote(raw)
	enc := base64.StdEncoding
	if bytes.ContainsAny(text, "-_") {
		enc = base64.URLEncoding
	}
	if len(text)%4 != 0 {
		enc = enc.WithPadding(base64.NoPadding)
	}
	out := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Decode(out, text)
	// The decoder would pass over line breaks.
	if err != nil || bytes.ContainsAny(text, "\r\n") {
		return r.failLast(raw, "must be valid base64")
	}
	*dst = out[:n]
	return nil
}

// Uint64 reads a number or a string of one: 12, "12", 12.0, 1.2e1.
func (r *Reader) Uint64(dst *uint64) error { return r.uint(dst, math.MaxUint64) }

// Uint32 reads as Uint64 does, up to 4294967295.
func (r *Reader) Uint32(dst *uint32) error {
	n := uint64(*dst)
	err := r.uint(&n, math.MaxUint32)
	*dst = uint32(n)
	return err
}

// Enum reads a value of an enum, by its name or its number. Another name or
// number is an error.
func (r *Reader) Enum(dst *int32, names map[string]int32) error {
	if r.Null() {
		return nil
	}
	kind := r.tokens.peekKind()
	if kind != jsontext.KindString && kind != jsontext.KindNumber {
		return r.want(jsontext.KindString, "must be the name or the number of an enum value")
	}
	raw, err := r.tokens.readScalar()
	if err != nil {
		return r.syntax(err)
	}
	if kind == jsontext.KindString {
		n, ok := names[string(r.unquote(raw))]
		if !ok {
			return r.failLast(raw, "must be the name of an enum value")
		}
		*dst = n
		return nil
	}
	n, problem := parseUint(raw, math.MaxInt32)
	if problem == "" {
		for _, known := range names {
			if int64(known) == int64(n) {
				*dst = known
				return nil
			}
		}
	}
	return r.failLast(raw, "must be the number of an enum value")
}

// stringValue reads a string, with its quotes and escapes. It is nil if the
// value is null.
func (r *Reader) stringValue(otherwise string) ([]byte, error) {
	if r.Null() {
		return nil, nil
	}
	if err := r.want(jsontext.KindString, otherwise); err != nil {
		return nil, err
	}
	raw, err := r.tokens.readScalar()
	if err != nil {
		return nil, r.syntax(err)
	}
	return raw, nil
}

func (r *Reader) uint(dst *uint64, limit uint64) error {
	if r.Null() {
		return nil
	}
	kind := r.tokens.peekKind()
	if kind != jsontext.KindString && kind != jsontext.KindNumber {
		return r.want(jsontext.KindNumber, "must be a whole number")
	}
	raw, err := r.tokens.readScalar()
	if err != nil {
		return r.syntax(err)
	}
	text := []byte(raw)
	if kind == jsontext.KindString {
		text = r.unquote(raw)
	}
	n, problem := parseUint(text, limit)
	if problem != "" {
		return r.failLast(raw, problem)
	}
	*dst = n
	return nil
}

// parseUint reads a JSON number whose value is whole, however it is written,
// and says what is wrong with another.
func parseUint(text []byte, limit uint64) (n uint64, problem string) {
	const notWhole = "must be a whole number"
	if len(text) > 0 && text[0] == '-' {
		return 0, "must not be negative"
	}
	whole, rest := digits(text)
	if len(whole) == 0 || whole[0] == '0' && len(whole) > 1 {
		return 0, notWhole
	}
	var fraction []byte
	if len(rest) > 0 && rest[0] == '.' {
		if fraction, rest = digits(rest[1:]); len(fraction) == 0 {
			return 0, notWhole
		}
	}
	exponent := 0
	if len(rest) > 0 && rest[0]|0x20 == 'e' {
		var ok bool
		if exponent, ok = parseExponent(rest[1:]); !ok {
			return 0, notWhole
		}
	} else if len(rest) > 0 {
		return 0, notWhole
	}

	// The value is all·10^exponent, with neither leading nor trailing zeros in all.
	all := whole
	if len(fraction) > 0 {
		all = append(append(make([]byte, 0, len(text)), whole...), fraction...)
		exponent -= len(fraction)
	}
	all = bytes.TrimLeft(all, "0")
	if len(all) == 0 {
		return 0, ""
	}
	significant := bytes.TrimRight(all, "0")
	exponent += len(all) - len(significant)
	if exponent < 0 {
		return 0, notWhole
	}
	if len(significant)+exponent > 20 {
		return 0, tooBig(limit)
	}
	for i := range len(significant) + exponent {
		d := uint64(0)
		if i < len(significant) {
			d = uint64(significant[i] - '0')
		}
		if n > (limit-d)/10 {
			return 0, tooBig(limit)
		}
		n = n*10 + d
	}
	return n, ""
}

func tooBig(limit uint64) string { return "must be at most " + strconv.FormatUint(limit, 10) }

// parseExponent reads what follows the e of a number. What is beyond ±10^8
// counts as that: more digits than any text has.
func parseExponent(text []byte) (e int, ok bool) {
	negative := false
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		negative = text[0] == '-'
		text = text[1:]
	}
	d, rest := digits(text)
	if len(d) == 0 || len(rest) > 0 {
		return 0, false
	}
	for _, c := range d {
		e = min(e*10+int(c-'0'), 1e8)
	}
	if negative {
		e = -e
	}
	return e, true
}

// digits splits text behind its leading digits.
func digits(text []byte) (d, rest []byte) {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return text[:n], text[n:]
}
