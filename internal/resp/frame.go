package resp

import (
	"bytes"
	"errors"
)

// Frame finds where replies end in bytes that come piece by piece. Its zero value
// is at the beginning of a reply.
type Frame struct {
	at     int // behind what was scanned, from the beginning of the reply
	values int // how many values are still to come; 0 at the beginning
}

// errShort says that more bytes have to come.
var errShort = errors.New("a reply is not complete")

// Next returns the length of the reply that b begins with, or 0 if more of it has to
// come: then b is to begin with the same bytes at the next call. most bounds it.
func (f *Frame) Next(b []byte, most int) (int, error) {
	if f.values == 0 {
		f.values = 1
	}
	for f.values > 0 {
		kind, n, size, err := header(b[f.at:], most)
		if err == errShort {
			if len(b) > most {
				return 0, errRESP
			}
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		isText := false
		switch kind {
		case '*', '~':
			f.values += max(n, 0)
		case '%':
			f.values += 2 * max(n, 0)
		case '$', '=', '!':
			isText = n >= 0
			if isText {
				size += n + 2
			}
		}
		if f.at+size > most || f.values > most {
			return 0, errRESP
		}
		if f.at+size > len(b) {
			return 0, nil
		}
		if f.at += size; isText && (b[f.at-2] != '\r' || b[f.at-1] != '\n') {
			return 0, errRESP
		}
		f.values--
	}
	n := f.at
	*f = Frame{}
	return n, nil
}

// header reads the first line of a value: n is the length of its text, at most most, or
// the number of its parts, -1 for none; size is the length of the line.
func header(b []byte, most int) (kind byte, n, size int, err error) {
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0:
		return 0, 0, 0, errShort
	case end < 2 || b[end-1] != '\r':
		return 0, 0, 0, errRESP
	}
	kind, size = b[0], end+1
	switch kind {
	case '+', '-', ':', ',', '#', '(', '_':
		return kind, 0, size, nil
	case '*', '~', '%':
		most = maxParts
		fallthrough
	case '$', '=', '!':
		if line := b[1 : end-1]; string(line) == "-1" {
			n = -1
		} else {
			n, err = length(line, most)
		}
		return kind, n, size, err
	}
	return 0, 0, 0, errRESP
}

// Replies are replies one behind the other, each complete, as Frame finds them.
type Replies []byte

// Next takes a reply, whatever it is.
func (r *Replies) Next() Replies {
	var f Frame
	n, err := f.Next(*r, len(*r))
	if n == 0 || err != nil {
		n = len(*r)
	}
	one := (*r)[:n:n]
	*r = (*r)[n:]
	return one
}

// Text takes a reply that is a text, a number, or nothing: then is is false. It shares
// the memory of r. An error that Redis has answered is a ReplyError.
func (r *Replies) Text() (text []byte, is bool, err error) {
	kind, n, size, err := header(*r, len(*r))
	if err != nil {
		return nil, false, errRESP
	}
	line, rest := (*r)[1:size-2], (*r)[size:]
	switch {
	case kind == '-':
		*r = rest
		return nil, false, ReplyError(line)
	case kind == '_', kind == '$' && n < 0:
		*r = rest
		return nil, false, nil
	case kind == '+', kind == ':', kind == ',':
		*r = rest
		return line, true, nil
	case kind == '$' && len(rest) >= n+2:
		*r = rest[n+2:]
		return rest[:n], true, nil
	}
	return nil, false, errRESP
}

// Array takes the beginning of a reply that is an array: n parts follow.
func (r *Replies) Array() (n int, err error) {
	kind, n, size, err := header(*r, len(*r))
	if err != nil {
		return 0, errRESP
	}
	line := (*r)[1 : size-2]
	switch {
	case kind == '-':
		*r = (*r)[size:]
		return 0, ReplyError(line)
	case kind == '*':
		*r = (*r)[size:]
		return max(n, 0), nil
	}
	return 0, errRESP
}
