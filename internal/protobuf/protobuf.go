// Package protobuf writes messages inside of messages, whose length is not known before
// they are written.
package protobuf

import "google.golang.org/protobuf/encoding/protowire"

// Begin begins a field that is a message, or text, of unknown length: what is appended to
// begun is in it until End is told where it began.
func Begin(b []byte, number protowire.Number) (begun []byte, at int) {
	b = append(protowire.AppendTag(b, number, protowire.BytesType), 0)
	return b, len(b)
}

// End writes the length of the field that began at at: most need one byte.
func End(b []byte, at int) []byte {
	n := len(b) - at
	if n < 1<<7 {
		b[at-1] = byte(n)
		return b
	}
	var length [10]byte
	l := protowire.AppendVarint(length[:0], uint64(n))
	b = append(b, l[1:]...) // makes room
	copy(b[at-1+len(l):], b[at:at+n])
	copy(b[at-1:], l)
	return b
}

// AppendText appends a field that is text, or bytes.
func AppendText[T string | []byte](b []byte, number protowire.Number, text T) []byte {
	b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.BytesType), uint64(len(text)))
	return append(b, text...)
}

// AppendNumber appends a field that is a number.
func AppendNumber(b []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), value)
}
