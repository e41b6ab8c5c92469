package packed

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// SplitDocument takes a session document, as session.AppendJSON writes it,
// apart: into numbers, dates and whatever else has a binary form, appended to
// bin, and the rest, its strings, appended to text. The names of its members
// are in neither. JoinDocument puts it together again.
//
// ok is false if the document has another form. It may be true for one that
// JoinDocument does not give back byte by byte, for instance one with a date
// that is not written as usual: the caller has to compare.
func SplitDocument(bin, text, doc []byte) (_, _ []byte, ok bool) {
	if hasControl(doc) {
		return bin, text, false
	}
	s := splitter{doc: doc, bin: append(bin, 0, 0, 0, 0), text: text, first: true, last: epoch}
	s.must("{")
	for i := 0; i < len(members) && !s.bad; {
		m := &members[i]
		switch {
		case m.kind == end:
			s.must("}")
			s.first = false
		case !s.has(m.name):
			if m.bit == 0 {
				return bin, text, false
			}
			i = after[i]
			continue
		default:
			s.bits |= m.bit
			s.member(m.kind)
		}
		i++
	}
	s.must("}")
	if s.bad || s.pos < len(doc) {
		return bin, text, false
	}
	binary.LittleEndian.PutUint32(s.bin[len(bin):], s.bits)
	return s.bin, s.text, true
}

type splitter struct {
	doc       []byte
	pos       int
	bin, text []byte
	bits      uint32
	id        []byte
	created   int64
	last      int64 // the last date
	dates     dateReader
	first     bool // the next member is the first of its object
	bad       bool
}

func (s *splitter) member(k kind) {
	switch k {
	case object:
		s.first = true
	case id:
		s.id = s.raw()
	case creation:
		s.creation()
	case date:
		s.date(s.last)
	case lastDate:
		s.date(s.created)
	case sequence:
		n, err := strconv.ParseUint(string(s.raw()), 10, 64)
		s.bad = s.bad || err != nil
		s.bin = binary.AppendUvarint(s.bin, n)
	case text:
		s.string(s.raw())
	case boolean:
		if s.next('t') {
			s.bits |= bitTrue
			s.must("rue")
		} else {
			s.must("false")
		}
	case metadata, header:
		s.entries(k)
	}
}

// date takes a date by its distance from another.
func (s *splitter) date(from int64) {
	t, ok := s.dates.parse(s.raw())
	s.bad = s.bad || !ok
	s.last = t
	s.bin = binary.AppendVarint(s.bin, s.last-from)
}

// creation takes the creation date, and the ID, which came before it.
func (s *splitter) creation() {
	s.date(s.last)
	s.created = s.last
	if s.bits&members[0].bit == 0 {
		return
	}
	if n, ok := Number(stringOf(s.id)); ok && s.created >= 0 && n>>20 == uint64(s.created/1000) {
		s.bits |= bitOwnID
		s.bin = binary.AppendUvarint(s.bin, n&(1<<20-1))
		return
	}
	s.string(s.id)
}

// string takes what is between the quotes of a string.
func (s *splitter) string(raw []byte) {
	str := stringOf(raw)
	if n, ok := Number(str); ok {
		s.text = append(s.text, markNumber)
		s.bin = binary.BigEndian.AppendUint64(s.bin, n)
		return
	}
	if len(raw) >= 16 && len(raw)%2 == 0 && len(raw) <= 2*255 && IsHex(str) {
		s.text = append(s.text, markHex)
		s.bin = AppendHex(append(s.bin, byte(len(raw)/2)), str)
		return
	}
	if isUUID(str) {
		s.text = append(s.text, markUUID)
		s.bin = appendUUID(s.bin, str)
		return
	}
	if address, ok := ipv4(raw); ok {
		s.text = append(s.text, markIPv4)
		s.bin = append(s.bin, address[:]...)
		return
	}
	s.text = append(append(s.text, raw...), markEnd)
}

// entries takes the members of an object that may have any names, and counts
// them. An empty one is never written.
func (s *splitter) entries(k kind) {
	count := uint64(0)
	at := len(s.bin)
	s.bin = append(s.bin, 0)
	for !s.bad {
		name := s.raw()
		s.must(":")
		if k == metadata {
			s.metadata(name)
		} else {
			s.header(name)
		}
		count++
		if !s.next(',') {
			break
		}
	}
	s.must("}")
	if s.bad {
		return
	}
	if s.bin[at] = byte(count); count >= 0x80 { // a longer count is rare: what follows moves
		values := bytes.Clone(s.bin[at+1:])
		s.bin = append(binary.AppendUvarint(s.bin[:at], count), values...)
	}
}

// metadata takes an entry. Its value is told without the base64 coding if
// that makes it a text.
func (s *splitter) metadata(name []byte) {
	value := s.raw()
	s.text = append(append(s.text, name...), markEnd)
	start := len(s.text)
	plain, err := base64.StdEncoding.AppendDecode(s.text, value)
	for i := start; err == nil && i < len(plain); i++ {
		if plain[i] < ' ' {
			err = base64.CorruptInputError(i)
		}
	}
	if err == nil {
		s.text = append(plain, markEnd)
		return
	}
	s.text[start-1] = markOther
	s.text = append(append(s.text, value...), markEnd)
}

// header takes a name and its values. Usually there is one.
func (s *splitter) header(name []byte) {
	s.text = append(append(s.text, name...), markEnd)
	marked, at := len(s.text)-1, len(s.bin)
	count := uint64(0)
	s.must("{")
	if !s.next('}') {
		s.must(`"values":[`)
		for !s.bad {
			s.string(s.raw())
			count++
			if !s.next(',') {
				break
			}
		}
		s.must("]}")
	}
	if count != 1 {
		s.text[marked] = markOther
		values := bytes.Clone(s.bin[at:])
		s.bin = append(binary.AppendUvarint(s.bin[:at], count), values...)
	}
}
