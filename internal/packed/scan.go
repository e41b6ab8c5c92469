package packed

import (
	"bytes"
	"encoding/binary"
)

// has passes over a member's name, if that comes next.
func (s *splitter) has(name string) bool {
	if s.first {
		name = name[1:]
	}
	if rest := s.doc[s.pos:]; len(rest) < len(name) || string(rest[:len(name)]) != name {
		return false
	}
	s.pos += len(name)
	s.first = false
	return true
}

// next passes over a byte, if that comes next.
func (s *splitter) next(c byte) bool {
	if s.pos == len(s.doc) || s.doc[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

// must passes over what has to come next.
func (s *splitter) must(want string) {
	if rest := s.doc[s.pos:]; len(rest) < len(want) || string(rest[:len(want)]) != want {
		s.bad = true
		return
	}
	s.pos += len(want)
}

// raw passes over a string and returns what is between its quotes.
func (s *splitter) raw() []byte {
	s.must(`"`)
	for i := s.pos; !s.bad; i++ {
		n := bytes.IndexByte(s.doc[i:], '"')
		if n < 0 {
			break
		}
		i += n
		slashes := 0 // an odd number of them makes the quote a part of the string
		for i-slashes > s.pos && s.doc[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			raw := s.doc[s.pos:i]
			s.pos = i + 1
			return raw
		}
	}
	s.bad = true
	return nil
}

// hasControl says whether a byte of doc is below a space. It looks at eight at a time.
func hasControl(doc []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(doc) >= 8; doc = doc[8:] {
		if x := binary.LittleEndian.Uint64(doc); (x-ones*' ')&^x&high != 0 {
			return true
		}
	}
	for _, c := range doc {
		if c < ' ' {
			return true
		}
	}
	return false
}
