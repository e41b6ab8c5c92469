package session

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
)

// MaxIDLen is the longest session ID that PUT and import accept, in bytes.
const MaxIDLen = 128

// RandomIDBits is the random part of an ID of our own; two IDs made in the
// same millisecond collide with a chance of one in a million, which the write
// script detects.
const RandomIDBits = 20

// NewID makes an ID: 19 decimal digits, the milliseconds of now and 20 random
// bits, so that IDs sort by time, as numbers and as strings, until 2248.
func NewID(now Time) ID {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	low := uint64(binary.BigEndian.Uint32(b[:])) & (1<<RandomIDBits - 1)
	return ID(strconv.FormatUint(uint64(now/1000)<<RandomIDBits|low, 10))
}

// ParseID checks an ID from outside: 1–128 of A–Z a–z 0–9 . _ ~ : - and
// neither "." nor "..". The error is an *InvalidError for the field "id".
func ParseID(s string) (ID, error) {
	if len(s) < 1 || len(s) > MaxIDLen {
		return "", &InvalidError{"id", "must have 1 to 128 characters"}
	}
	if s == "." || s == ".." {
		return "", &InvalidError{"id", `must not be "." or ".."`}
	}
	for i := range len(s) {
		if !idByte(s[i]) {
			return "", &InvalidError{"id", "may have only the characters A-Z a-z 0-9 . _ ~ : -"}
		}
	}
	return ID(s), nil
}

func idByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '.' || c == '_' || c == '~' || c == ':' || c == '-'
}
