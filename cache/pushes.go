package cache

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// pushReader reads what Redis sends on the link, RESP3: invalidations, and the
// answers to our own few questions. It never looks ahead and knows no time-out,
// so that a message which comes in pieces is taken whole; whatever it does not
// understand is an error, after which the link is worth nothing.
type pushReader struct {
	r *bufio.Reader
	// key is told each invalidated key; it is overwritten by the next. all is
	// told that every key is (FLUSHALL, FLUSHDB).
	key func([]byte)
	all func()
	buf []byte
}

const (
	// maxPushed bounds one string that Redis sends: keys are a few hundred bytes.
	maxPushed = 1 << 20
	// maxParts bounds the parts of one message. Redis gathers the keys that
	// change in one turn of its event loop, at most a few thousand.
	maxParts = 1 << 22
	// maxNested bounds how deep a message is nested.
	maxNested = 8
)

// replyError is an answer that is an error.
type replyError string

func (e replyError) Error() string { return string(e) }

// passes says that the server refuses everybody for a while, whatever it is asked.
func (e replyError) passes() bool {
	word, _, _ := strings.Cut(string(e), " ")
	switch word {
	case "BUSY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN":
		return true
	}
	return false
}

var errLink = errors.New("redis sent what is not RESP3")

// reply reads until the next answer, and applies every invalidation that comes
// before it. Of an answer that has parts only the strings are kept, joined by spaces.
func (p *pushReader) reply() (string, error) {
	for {
		kind, line, err := p.line()
		if err != nil {
			return "", err
		}
		switch kind {
		case '>':
			if err := p.push(line); err != nil {
				return "", err
			}
			continue
		case '|': // attributes come before what they belong to
			if err := p.skip(kind, line, maxNested); err != nil {
				return "", err
			}
			continue
		case '-', '!':
			text, err := p.scalar(kind, line)
			if err != nil {
				return "", err
			}
			return "", replyError(text)
		case '*', '%', '~':
			var parts bytes.Buffer
			err := p.each(kind, line, maxNested, func(text []byte) {
				if parts.Len() < maxPushed {
					parts.Write(text)
					parts.WriteByte(' ')
				}
			})
			return parts.String(), err
		default:
			text, err := p.scalar(kind, line)
			return string(text), err
		}
	}
}

// push applies a message that Redis sent by itself.
func (p *pushReader) push(line []byte) error {
	n, err := length(line, maxParts)
	if err != nil || n < 1 {
		return errLink
	}
	kind, line, err := p.line()
	if err != nil {
		return err
	}
	name, err := p.scalar(kind, line)
	if err != nil {
		return err
	}
	if string(name) != "invalidate" || n != 2 {
		return p.skipAll(n-1, maxNested)
	}
	kind, line, err = p.line()
	if err != nil {
		return err
	}
	switch {
	case kind == '_', kind == '*' && string(line) == "-1":
		p.all()
		return nil
	case kind != '*':
		return errLink
	}
	keys, err := length(line, maxParts)
	if err != nil {
		return err
	}
	for range keys {
		kind, line, err := p.line()
		if err != nil {
			return err
		}
		if kind != '$' {
			return errLink
		}
		key, err := p.scalar(kind, line)
		if err != nil {
			return err
		}
		p.key(key)
	}
	return nil
}

// line reads the first line of a value: what kind it is, and the rest. The
// rest is overwritten by the next read.
func (p *pushReader) line() (kind byte, rest []byte, err error) {
	line, err := p.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, nil, errLink
	}
	return line[0], line[1 : len(line)-2], nil
}

// scalar reads the rest of a value without parts, which is overwritten by the next.
func (p *pushReader) scalar(kind byte, line []byte) ([]byte, error) {
	switch kind {
	case '+', '-', ':', ',', '#', '(', '_':
		p.buf = append(p.buf[:0], line...)
		return p.buf, nil
	case '$', '=', '!':
		if string(line) == "-1" {
			return nil, nil
		}
		n, err := length(line, maxPushed)
		if err != nil {
			return nil, err
		}
		if cap(p.buf) < n+2 {
			p.buf = make([]byte, n+2)
		}
		b := p.buf[:n+2]
		if _, err := io.ReadFull(p.r, b); err != nil {
			return nil, err
		}
		if b[n] != '\r' || b[n+1] != '\n' {
			return nil, errLink
		}
		return b[:n], nil
	}
	return nil, errLink
}

// each gives all strings within a value with parts.
func (p *pushReader) each(kind byte, line []byte, depth int, give func([]byte)) error {
	n, err := length(line, maxParts)
	if err != nil {
		return err
	}
	if depth == 0 {
		return errLink
	}
	if kind == '%' || kind == '|' {
		n *= 2
	}
	for range n {
		kind, line, err := p.line()
		if err != nil {
			return err
		}
		switch kind {
		case '*', '%', '~', '|', '>':
			err = p.each(kind, line, depth-1, give)
		default:
			var text []byte
			if text, err = p.scalar(kind, line); err == nil {
				give(text)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pushReader) skip(kind byte, line []byte, depth int) error {
	return p.each(kind, line, depth, func([]byte) {})
}

// skipAll passes over n values.
func (p *pushReader) skipAll(n, depth int) error {
	return p.each('*', strconv.AppendInt(nil, int64(n), 10), depth, func([]byte) {})
}

// length reads a count of bytes or parts.
func length(line []byte, most int) (int, error) {
	n := 0
	if len(line) == 0 || len(line) > 8 {
		return 0, errLink
	}
	for _, c := range line {
		if c < '0' || c > '9' {
			return 0, errLink
		}
		n = n*10 + int(c-'0')
	}
	if n > most {
		return 0, fmt.Errorf("%w: a message of %d parts", errLink, n)
	}
	return n, nil
}
