// Package packed writes in few bytes what is kept in Redis a million times:
// IDs, fingerprints, names (Append, Cut), and what a session document is made
// of (SplitDocument, JoinDocument). It compresses nothing.
package packed

import (
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"
)

// A packed text is a length in one or two bytes, and the bytes. A decimal
// number of 10–19 digits, the usual ID, takes one byte and eight; a UUID one and
// sixteen; 8 or more hexadecimal digits, the usual fingerprint, two and half as
// many. Digits are lower-case. Every text has one packed form.
const (
	number     = 0xff
	hex        = 0xfe
	uuid       = 0xfd
	longLength = 0x80 // two bytes: 0x80 | high 7 bits, low 8 bits
	// MaxLen is the longest text, in bytes.
	MaxLen = (uuid-longLength)<<8 - 1
)

// Append appends s, packed. s has at most MaxLen bytes.
func Append(b []byte, s string) []byte {
	if n, ok := Number(s); ok {
		return binary.BigEndian.AppendUint64(append(b, number), n)
	}
	if len(s) >= 8 && len(s)%2 == 0 && len(s) < 256 && IsHex(s) {
		return AppendHex(append(b, hex, byte(len(s)/2)), s)
	}
	if isUUID(s) {
		return appendUUID(append(b, uuid), s)
	}
	if len(s) < longLength {
		b = append(b, byte(len(s)))
	} else {
		b = append(b, longLength|byte(len(s)>>8), byte(len(s)))
	}
	return append(b, s...)
}

// Cut splits s behind the packed text that it begins with, and unpacks that.
func Cut(s string) (text, rest string, ok bool) {
	form, raw, rest, ok := cut(s)
	switch {
	case !ok:
		return "", "", false
	case form == number:
		return strconv.FormatUint(bigEndian(raw), 10), rest, true
	case form == hex:
		return Hex(raw), rest, true
	case form == uuid:
		return string(appendUUIDText(make([]byte, 0, uuidLen), raw)), rest, true
	}
	return raw, rest, true
}

// AppendCut is Cut that appends the text.
func AppendCut(dst []byte, s string) (_ []byte, rest string, ok bool) {
	form, raw, rest, ok := cut(s)
	switch {
	case !ok:
		return dst, "", false
	case form == number:
		dst = strconv.AppendUint(dst, bigEndian(raw), 10)
	case form == hex:
		dst = appendDigits(dst, raw)
	case form == uuid:
		dst = appendUUIDText(dst, raw)
	default:
		dst = append(dst, raw...)
	}
	return dst, rest, true
}

// cut splits s behind the packed text that it begins with: raw is what form packs
// it to, and the text itself if that is none of the three.
func cut(s string) (form byte, raw, rest string, ok bool) {
	if s == "" {
		return 0, "", "", false
	}
	form, rest = s[0], s[1:]
	n := int(form)
	switch {
	case form == number:
		n = 8
	case form == uuid:
		n = 16
	case form == hex:
		if rest == "" {
			return 0, "", "", false
		}
		n, rest = int(rest[0]), rest[1:]
	case form >= longLength:
		if rest == "" {
			return 0, "", "", false
		}
		n, rest = (n&^longLength)<<8|int(rest[0]), rest[1:]
	}
	if len(rest) < n {
		return 0, "", "", false
	}
	return form, rest[:n], rest[n:], true
}

// bigEndian returns the number that the eight bytes of raw are.
func bigEndian(raw string) (n uint64) {
	for i := range 8 {
		n = n<<8 | uint64(raw[i])
	}
	return n
}

// Number returns the number that s writes, if s is a decimal number of 10–19
// digits without a leading zero that fits 63 bits: then s is exactly the
// number's decimal form.
func Number(s string) (n uint64, ok bool) {
	if len(s) < 10 || len(s) > 19 || s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d) // 19 digits fit 64 bits
	}
	return n, n <= math.MaxInt64
}

// IsHex says whether s has only lower-case hexadecimal digits.
func IsHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// AppendHex appends the bytes that an even number of lower-case hexadecimal digits write.
func AppendHex(b []byte, digits string) []byte {
	for i := 0; i < len(digits); i += 2 {
		b = append(b, value(digits[i])<<4|value(digits[i+1]))
	}
	return b
}

// Hex returns raw in lower-case hexadecimal digits.
func Hex(raw string) string {
	return string(appendDigits(make([]byte, 0, 2*len(raw)), raw))
}

func appendDigits[T string | []byte](dst []byte, raw T) []byte {
	const digits = "0123456789abcdef"
	for i := range len(raw) {
		dst = append(dst, digits[raw[i]>>4], digits[raw[i]&15])
	}
	return dst
}

// stringOf returns b as a string, which is valid as long as nobody writes to b.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func value(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}
