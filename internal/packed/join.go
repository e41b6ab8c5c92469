package packed

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

var errDamaged = errors.New("a packed document is damaged")

// The years 0001–9999, in microseconds since 1970.
const (
	minDate = -62_135_596_800_000_000
	maxDate = 253_402_300_799_999_999
)

// JoinDocument appends the document that SplitDocument took apart. One that
// would be longer than most, and streams that SplitDocument does not make, are
// errors; dst's content is undefined then, as are notes. They are of the document
// alone, without what was in dst before.
func JoinDocument(dst, bin, text []byte, most int, notes *Notes) ([]byte, error) {
	if len(bin) < 4 {
		return nil, errDamaged
	}
	notes.begin(text)
	j := joiner{start: len(dst), most: most, dst: append(dst, '{'), bin: bin[4:], text: text, first: true, last: epoch, notes: notes}
	j.bits = binary.LittleEndian.Uint32(bin)
	j.created = j.date(j.last)
	j.last, notes.Creation = j.created, j.created
	for i := 0; i < len(members); {
		m := &members[i]
		switch {
		case m.kind == end:
			j.dst = append(j.dst, '}')
			j.first = false
		case m.bit != 0 && j.bits&m.bit == 0:
			i = after[i]
			continue
		default:
			j.name(m.name)
			start := len(j.dst) + 1
			j.member(m.kind)
			if m.note != notedNothing {
				notes.texts[m.note] = span{start - j.start, len(j.dst) - 1 - j.start}
			}
		}
		i++
	}
	j.dst = append(j.dst, '}')
	if j.bad || j.bits&^bitsUsed != 0 || len(j.bin) > 0 || len(j.text) > 0 || len(j.dst)-j.start > most {
		return nil, errDamaged
	}
	return j.dst, nil
}

type joiner struct {
	dst         []byte
	start, most int
	bin, text   []byte // what is left of them
	bits        uint32
	created     int64
	last        int64 // the last date
	dates       dateWriter
	first       bool // the next member is the first of its object
	bad         bool
	notes       *Notes
}

func (j *joiner) name(name string) {
	if j.first {
		name = name[1:]
	}
	j.dst = append(j.dst, name...)
	j.first = false
}

func (j *joiner) member(k kind) {
	switch k {
	case object:
		j.first = true
	case id:
		j.id()
	case creation:
		j.dst = j.dates.append(j.dst, j.created)
	case date:
		j.last = j.date(j.last)
		j.dst = j.dates.append(j.dst, j.last)
	case lastDate:
		j.notes.Expires, j.notes.Expiration = true, j.date(j.created)
		j.dst = j.dates.append(j.dst, j.notes.Expiration)
	case sequence:
		j.notes.Sequence = j.uvarint()
		j.dst = protojson.AppendUint64(j.dst, j.notes.Sequence)
	case text:
		j.string()
	case boolean:
		j.dst = strconv.AppendBool(j.dst, j.bits&bitTrue != 0)
	case metadata, header:
		j.entries(k)
	}
}

// stop says that the document is damaged, and ends all loops.
func (j *joiner) stop() { j.bad, j.bin, j.text = true, nil, nil }

// take takes n bytes of bin.
func (j *joiner) take(n int) []byte {
	if len(j.bin) < n {
		j.stop()
		return nil
	}
	taken := j.bin[:n]
	j.bin = j.bin[n:]
	return taken
}

func (j *joiner) uvarint() uint64 {
	n, size := binary.Uvarint(j.bin)
	if size <= 0 {
		j.stop()
		return 0
	}
	j.bin = j.bin[size:]
	return n
}

// date takes a date that is told by its distance from another.
func (j *joiner) date(from int64) int64 {
	distance, size := binary.Varint(j.bin)
	if size <= 0 {
		j.stop()
		return 0
	}
	j.bin = j.bin[size:]
	const longest = maxDate - minDate // within it, nothing overflows
	if t := from + distance; -longest <= distance && distance <= longest && minDate <= t && t <= maxDate {
		return t
	}
	j.stop()
	return 0
}

func (j *joiner) id() {
	if j.bits&bitOwnID == 0 {
		j.string()
		return
	}
	low := j.uvarint()
	if j.created < 0 || low >= 1<<20 {
		j.stop()
		return
	}
	j.dst = protojson.AppendUint64(j.dst, uint64(j.created/1000)<<20|low)
}

// plain takes the text up to its end.
func (j *joiner) plain() []byte {
	n := bytes.IndexByte(j.text, markEnd)
	if n < 0 {
		j.stop()
		return nil
	}
	plain := j.text[:n]
	j.text = j.text[n+1:]
	return plain
}

// entryName takes the name of an entry, and whether its value has the usual form.
func (j *joiner) entryName() (usual bool) {
	for n, c := range j.text {
		if c == markEnd || c == markOther {
			j.dst = append(append(append(j.dst, '"'), j.text[:n]...), '"', ':')
			j.text = j.text[n+1:]
			return c == markEnd
		}
	}
	j.stop()
	return true
}

func (j *joiner) string() {
	if len(j.text) == 0 {
		j.stop()
		return
	}
	j.dst = append(j.dst, '"')
	switch j.text[0] {
	case markNumber:
		j.text = j.text[1:]
		if b := j.take(8); b != nil {
			j.dst = strconv.AppendUint(j.dst, binary.BigEndian.Uint64(b), 10)
		}
	case markHex:
		j.text = j.text[1:]
		if n := j.take(1); n != nil {
			j.dst = appendDigits(j.dst, j.take(int(n[0])))
		}
	case markUUID:
		j.text = j.text[1:]
		if b := j.take(16); b != nil {
			j.dst = appendUUIDText(j.dst, b)
		}
	case markIPv4:
		j.text = j.text[1:]
		for i, part := range j.take(4) {
			if i > 0 {
				j.dst = append(j.dst, '.')
			}
			j.dst = strconv.AppendUint(j.dst, uint64(part), 10)
		}
	default:
		j.dst = append(j.dst, j.plain()...)
	}
	j.dst = append(j.dst, '"')
}

// entries takes the members of an object that may have any names.
func (j *joiner) entries(k kind) {
	for n := j.uvarint(); n > 0 && !j.bad; n-- {
		if k == metadata {
			j.metadata()
		} else {
			j.header()
		}
		if len(j.dst)-j.start > j.most {
			j.stop()
		}
		if n > 1 {
			j.dst = append(j.dst, ',')
		}
	}
	j.dst = append(j.dst, '}')
}

func (j *joiner) metadata() {
	usual := j.entryName()
	plain := j.plain()
	j.dst = append(j.dst, '"')
	if usual {
		j.dst = base64.StdEncoding.AppendEncode(j.dst, plain)
	} else {
		j.dst = append(j.dst, plain...)
	}
	j.dst = append(j.dst, '"')
}

func (j *joiner) header() {
	count := uint64(1)
	if usual := j.entryName(); !usual {
		count = j.uvarint()
	}
	j.dst = append(j.dst, '{')
	if count > 0 {
		j.dst = append(j.dst, `"values":[`...)
		for n := count; n > 0 && !j.bad; n-- {
			j.string()
			if len(j.dst)-j.start > j.most {
				j.stop()
			}
			if n > 1 {
				j.dst = append(j.dst, ',')
			}
		}
		j.dst = append(j.dst, ']')
	}
	j.dst = append(j.dst, '}')
}
