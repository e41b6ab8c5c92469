package scenario

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Here protobuf is written and read by field numbers: the harness shares no message
// definitions with the program.

// text appends a field of text, or of bytes, or a message.
func text(b []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), value)
}

// whole appends a field that is a number.
func whole(b []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), value)
}

// instant is a google.protobuf.Timestamp.
func instant(t time.Time) string {
	return string(whole(whole(nil, 1, uint64(t.Unix())), 2, uint64(t.Nanosecond())))
}

// field is one of a message: text or a number.
type field struct {
	number protowire.Number
	text   []byte
	whole  uint64
}

// fieldsOf returns those of a message, in their order.
func fieldsOf(b []byte) (all []field, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		f := field{number: number}
		b = b[n:]
		switch kind {
		case protowire.BytesType:
			f.text, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			f.whole, n = protowire.ConsumeVarint(b)
		default:
			return nil, fmt.Errorf("field %d has the wire type %d", number, kind)
		}
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b, all = b[n:], append(all, f)
	}
	return all, nil
}

// at returns the first field with that number, by way of the messages in the fields before
// it; the zero value where there is none.
func at(b []byte, path ...protowire.Number) (text []byte, whole uint64, err error) {
	text = b
	for _, number := range path {
		all, err := fieldsOf(text)
		if err != nil {
			return nil, 0, err
		}
		text, whole = nil, 0
		if i := slices.IndexFunc(all, func(f field) bool { return f.number == number }); i >= 0 {
			text, whole = all[i].text, all[i].whole
		}
	}
	return text, whole, nil
}

// sessionOf reads what is checked of a zitadel.session.v2.Session.
func sessionOf(b []byte) (s SessionJSON, err error) {
	var faults []error
	read := func(path ...protowire.Number) string {
		text, _, err := at(b, path...)
		faults = append(faults, err)
		return string(text)
	}
	date := func(path ...protowire.Number) string {
		text := []byte(read(path...))
		_, seconds, err := at(text, 1)
		_, nanos, err2 := at(text, 2)
		faults = append(faults, err, err2)
		return time.Unix(int64(seconds), int64(nanos)).UTC().Format(time.RFC3339Nano)
	}
	s.ID, s.CreationDate, s.ExpirationDate = read(1), date(2), date(8)
	_, sequence, err := at(b, 4)
	s.Sequence = fmt.Sprint(sequence)
	s.Factors.User.ID, s.Factors.User.OrganizationID = read(5, 1, 2), read(5, 1, 6)
	s.Factors.Password.VerifiedAt = date(5, 2, 1)
	s.UserAgent.FingerprintID = read(7, 1)
	return s, errors.Join(append(faults, err)...)
}
