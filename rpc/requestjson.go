package rpc

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonForm is how a message is written as JSON, without making the message: a request of
// usual form is read field by field. What is not usual (a field that is there twice, a
// message of protobuf's own other than dates and durations, text that is not UTF-8) has no
// such form, and goes by way of the message.
type jsonForm struct {
	known  protoreflect.FullName // of protobuf's own; "" for others
	fields []jsonField           // in the order of their numbers
}

type jsonField struct {
	number   protowire.Number
	name     string // as JSON has it before the value: "name":
	kind     protoreflect.Kind
	repeated bool
	isMap    bool
	presence bool // a zero value is written
	oneof    int  // index, −1 if it is in none
	message  *jsonForm
	values   protoreflect.EnumValueDescriptors
}

const (
	timestampName = "google.protobuf.Timestamp"
	durationName  = "google.protobuf.Duration"
)

// formOf makes the form of a message.
func formOf(m protoreflect.MessageDescriptor) *jsonForm {
	f := new(jsonForm)
	if m.ParentFile().Package() == "google.protobuf" {
		f.known = m.FullName()
		return f
	}
	all := m.Fields()
	for i := range all.Len() {
		d := all.Get(i)
		field := jsonField{
			number: d.Number(), name: `"` + d.JSONName() + `":`, kind: d.Kind(), repeated: d.IsList(), isMap: d.IsMap(), presence: d.HasPresence(), oneof: -1,
		}
		if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() {
			field.oneof = o.Index()
		}
		switch {
		case d.IsMap() && d.MapKey().Kind() == protoreflect.StringKind:
			field.message = formOf(d.Message())
		case d.Message() != nil:
			field.message = formOf(d.Message())
		case d.Enum() != nil:
			field.values = d.Enum().Values()
		}
		f.fields = append(f.fields, field)
	}
	return f
}

// maxOccurrences is how many fields a message of usual form has, lists and maps unfolded.
const maxOccurrences = 128

// occurrence is a field as it was found.
type occurrence struct {
	field *jsonField
	text  []byte
	whole uint64
}

// appendJSON appends the JSON of a message; ok is false if it has not the usual form, and
// then what was appended is worth nothing.
func (f *jsonForm) appendJSON(b, message []byte) (_ []byte, ok bool) {
	switch f.known {
	case "":
	case timestampName, durationName:
		return appendInstant(b, message, f.known)
	default:
		return b, false
	}
	var few [16]occurrence
	found, ok := f.find(few[:0], message)
	if !ok {
		return b, false
	}
	b = append(b, '{')
	first := len(b)
	for i := range f.fields {
		if b, ok = f.fields[i].appendJSON(b, found, first); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

// find collects the fields of a message that are known.
func (f *jsonForm) find(found []occurrence, message []byte) (_ []occurrence, ok bool) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || number > protowire.MaxValidNumber {
			return nil, false
		}
		message = message[n:]
		o := occurrence{}
		for i := range f.fields {
			if f.fields[i].number == number {
				o.field = &f.fields[i]
			}
		}
		switch kind {
		case protowire.VarintType:
			o.whole, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			o.text, n = protowire.ConsumeBytes(message)
		default:
			return nil, false
		}
		if n < 0 {
			return nil, false
		}
		message = message[n:]
		if o.field == nil {
			continue // a newer client's
		}
		if o.field.isText() != (kind == protowire.BytesType) || len(found) == maxOccurrences {
			return nil, false
		}
		for i := range found {
			once := found[i].field == o.field && !o.field.repeated && !o.field.isMap
			if once || o.field.oneof >= 0 && found[i].field.oneof == o.field.oneof && found[i].field != o.field {
				return nil, false
			}
		}
		found = append(found, o)
	}
	return found, true
}

func (f *jsonField) isText() bool {
	return f.kind == protoreflect.StringKind || f.kind == protoreflect.BytesKind || f.kind == protoreflect.MessageKind
}

// appendJSON appends the field with its name, if it was found; first is where the fields
// of its message begin.
func (f *jsonField) appendJSON(b []byte, found []occurrence, first int) (_ []byte, ok bool) {
	many, begun := f.repeated || f.isMap, false
	for i := range found {
		o := &found[i]
		if o.field != f || !many && !f.presence && o.whole == 0 && len(o.text) == 0 {
			continue
		}
		switch {
		case begun:
			b = append(b, ',')
		default:
			if len(b) > first {
				b = append(b, ',')
			}
			b = append(b, f.name...)
			if f.isMap {
				b = append(b, '{')
			} else if f.repeated {
				b = append(b, '[')
			}
		}
		begun = true
		if f.isMap {
			b, ok = f.appendEntry(b, found[:i], o.text)
		} else {
			b, ok = f.appendValue(b, o)
		}
		if !ok {
			return b, false
		}
	}
	switch {
	case begun && f.isMap:
		b = append(b, '}')
	case begun && f.repeated:
		b = append(b, ']')
	}
	return b, true
}

// appendEntry appends an entry of a map: its key (1) must be there once, and no other
// entry have it.
func (f *jsonField) appendEntry(b []byte, before []occurrence, entry []byte) (_ []byte, ok bool) {
	var few [2]occurrence
	parts, ok := f.message.find(few[:0], entry)
	if !ok || len(parts) != 2 || parts[0].field.number != 1 || parts[0].field.kind != protoreflect.StringKind || !utf8.Valid(parts[0].text) {
		return b, false
	}
	for i := range before {
		if before[i].field != f {
			continue
		}
		if key, _ := f.message.find(few[:0:0], before[i].text); len(key) == 0 || bytes.Equal(key[0].text, parts[0].text) {
			return b, false
		}
	}
	b = append(protojson.AppendString(b, string(parts[0].text)), ':')
	return parts[1].field.appendValue(b, &parts[1])
}

func (f *jsonField) appendValue(b []byte, o *occurrence) (_ []byte, ok bool) {
	switch f.kind {
	case protoreflect.MessageKind:
		return f.message.appendJSON(b, o.text)
	case protoreflect.StringKind:
		return protojson.AppendString(b, string(o.text)), utf8.Valid(o.text)
	case protoreflect.BytesKind:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), o.text), '"'), true
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, protowire.DecodeBool(o.whole)), true
	case protoreflect.Uint32Kind:
		return strconv.AppendUint(b, uint64(uint32(o.whole)), 10), true
	case protoreflect.Uint64Kind:
		return append(strconv.AppendUint(append(b, '"'), o.whole, 10), '"'), true
	case protoreflect.EnumKind:
		if v := f.values.ByNumber(protoreflect.EnumNumber(int32(o.whole))); v != nil {
			return append(append(append(b, '"'), v.Name()...), '"'), true
		}
		return strconv.AppendInt(b, int64(int32(o.whole)), 10), true
	}
	return b, false
}

// appendInstant appends a google.protobuf.Timestamp or Duration.
func appendInstant(b, message []byte, name protoreflect.FullName) (_ []byte, ok bool) {
	var parts [3]uint64 // seconds (1) and nanos (2)
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || kind != protowire.VarintType || number > 2 {
			return b, false
		}
		value, m := protowire.ConsumeVarint(message[n:])
		if m < 0 || parts[number] != 0 {
			return b, false
		}
		parts[number], message = value, message[n+m:]
	}
	const year10000, longest = 253_402_300_800, 315_576_000_000
	seconds, nanos := int64(parts[1]), int64(parts[2])
	if seconds < 0 || nanos < 0 || nanos >= int64(time.Second) {
		return b, false
	}
	if name == timestampName {
		return append(time.Unix(seconds, nanos).UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"'), seconds < year10000
	}
	b = strconv.AppendInt(append(b, '"'), seconds, 10)
	if nanos > 0 {
		b = strconv.AppendInt(append(b, '.'), int64(time.Second)+nanos, 10)
		point := len(b) - 10
		b = append(b[:point], b[point+1:]...) // the 1 that keeps the zeros
	}
	return append(b, "s\""...), seconds <= longest
}
