// Package resp speaks Redis' protocol, RESP3, over a connection of our own: one
// that hears of invalidations, or asks a server who it is. Everything else goes
// over go-redis.
package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Reader reads what Redis sends: invalidations, and answers to our questions. It never looks ahead and knows no time-out, so that a message which
// comes in pieces is taken whole; whatever it does not understand is an error,
// after which the connection is worth nothing. One goroutine may use it at a time.
type Reader struct {
	R *bufio.Reader
	// Key is told each invalidated key; it is overwritten by the next. All is
	// told that every key is (FLUSHALL, FLUSHDB). Both are needed only where
	// tracking is on.
	Key func([]byte)
	All func()
	buf []byte
}

const (
	// MaxReply bounds a reply, in bytes. A stored session has a good megabyte at the most.
	MaxReply = 16 << 20
	// maxPushed bounds one string that Redis sends: keys are a few hundred bytes.
	maxPushed = 1 << 20
	// maxParts bounds the parts of one message. Redis gathers the keys that
	// change in one turn of its event loop, at most a few thousand.
	maxParts = 1 << 22
	// maxNested bounds how deep a message is nested.
	maxNested = 8
)

// ReplyError is an answer that is an error.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// RedisError says that it is one of Redis, as go-redis' errors do.
func (e ReplyError) RedisError() {}

// Passes says that the server refuses everybody for a while, whatever it is asked.
func (e ReplyError) Passes() bool {
	word, _, _ := strings.Cut(string(e), " ")
	switch word {
	case "BUSY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN":
		return true
	}
	return false
}

var errRESP = errors.New("redis sent what is not RESP3")

// Reply reads until the next answer, and applies every invalidation that comes
// before it. Of an answer that has parts only the strings are kept, joined by spaces.
func (p *Reader) Reply() (string, error) {
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
			return "", ReplyError(text)
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

// Append reads as Reply does, and appends the answer as it came, an error too. Its own
// error says that none came.
func (p *Reader) Append(dst []byte) ([]byte, error) {
	for {
		kind, line, err := p.line()
		if err != nil {
			return nil, err
		}
		switch kind {
		case '>':
			err = p.push(line)
		case '|':
			err = p.skip(kind, line, maxNested)
		default:
			return p.appendValue(dst, len(dst)+MaxReply, kind, line, maxNested)
		}
		if err != nil {
			return nil, err
		}
	}
}

// appendValue appends a value whose first line was read. With it dst may have most bytes.
func (p *Reader) appendValue(dst []byte, most int, kind byte, line []byte, depth int) (_ []byte, err error) {
	absent := string(line) == "-1"
	dst = append(append(append(dst, kind), line...), '\r', '\n')
	switch kind {
	case '+', '-', ':', ',', '#', '(', '_':
		return dst, nil
	case '$', '=', '!':
		if absent {
			return dst, nil
		}
		n, err := length(line, max(most-len(dst), 0))
		if err != nil {
			return nil, err
		}
		dst = slices.Grow(dst, n+2)[:len(dst)+n+2]
		text := dst[len(dst)-n-2:]
		if _, err := io.ReadFull(p.R, text); err != nil {
			return nil, err
		}
		if text[n] != '\r' || text[n+1] != '\n' {
			return nil, errRESP
		}
		return dst, nil
	case '*', '~', '%':
		if absent {
			return dst, nil
		}
		n, err := length(line, maxParts)
		if err != nil {
			return nil, err
		}
		if depth == 0 {
			return nil, errRESP
		}
		if kind == '%' {
			n *= 2
		}
		for range n {
			if len(dst) > most {
				return nil, errRESP
			}
			kind, line, err := p.line()
			if err != nil {
				return nil, err
			}
			if dst, err = p.appendValue(dst, most, kind, line, depth-1); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	return nil, errRESP
}

// push applies a message that Redis sent by itself.
func (p *Reader) push(line []byte) error {
	n, err := length(line, maxParts)
	if err != nil || n < 1 {
		return errRESP
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
		p.All()
		return nil
	case kind != '*':
		return errRESP
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
			return errRESP
		}
		key, err := p.scalar(kind, line)
		if err != nil {
			return err
		}
		p.Key(key)
	}
	return nil
}

// line reads the first line of a value: what kind it is, and the rest. The
// rest is overwritten by the next read.
func (p *Reader) line() (kind byte, rest []byte, err error) {
	line, err := p.R.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, nil, errRESP
	}
	return line[0], line[1 : len(line)-2], nil
}

// scalar reads the rest of a value without parts, which is overwritten by the next.
func (p *Reader) scalar(kind byte, line []byte) ([]byte, error) {
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
		if _, err := io.ReadFull(p.R, b); err != nil {
			return nil, err
		}
		if b[n] != '\r' || b[n+1] != '\n' {
			return nil, errRESP
		}
		return b[:n], nil
	}
	return nil, errRESP
}

// each gives all strings within a value with parts.
func (p *Reader) each(kind byte, line []byte, depth int, give func([]byte)) error {
	n, err := length(line, maxParts)
	if err != nil {
		return err
	}
	if depth == 0 {
		return errRESP
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

func (p *Reader) skip(kind byte, line []byte, depth int) error {
	return p.each(kind, line, depth, func([]byte) {})
}

// skipAll passes over n values.
func (p *Reader) skipAll(n, depth int) error {
	return p.each('*', strconv.AppendInt(nil, int64(n), 10), depth, func([]byte) {})
}

// length reads a count of bytes or parts.
func length(line []byte, most int) (int, error) {
	n := 0
	if len(line) == 0 || len(line) > 8 {
		return 0, errRESP
	}
	for _, c := range line {
		if c < '0' || c > '9' {
			return 0, errRESP
		}
		n = n*10 + int(c-'0')
	}
	if n > most {
		return 0, fmt.Errorf("%w: a message of %d parts", errRESP, n)
	}
	return n, nil
}
