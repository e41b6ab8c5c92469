package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// chunk is some lines that follow each other.
type chunk struct {
	texts   []byte
	lines   []line
	decoded chan struct{} // closed when the lines are decoded
}

type lineKind uint8

const (
	headerLine lineKind = iota // the first
	sessionLine
	specialLine
)

// line is one of them.
type line struct {
	number     uint64
	start, end int // in texts
	kind       lineKind
	header     *Header
	session    *session.Session // nil also if it is passed over
	special    *special
	err        error
}

// read reads all lines into chunks, which go to both channels, in order. A chunk ends where nothing more has come, so that
// changes are stored without waiting for more.
func (i *importer) read(ctx context.Context, ordered, undecoded chan<- *chunk) error {
	in := bufio.NewReaderSize(i.From, max(64<<10, 2*i.MaxSessionBytes+maxLineExtra))
	number := uint64(0)
	for ended := false; !ended; {
		c := &chunk{decoded: make(chan struct{})}
		for len(c.lines) == 0 || len(c.lines) < chunkLines && len(c.texts) < chunkBytes && in.Buffered() > 0 {
			text, err := in.ReadSlice('\n')
			if ended = err != nil && !errors.Is(err, bufio.ErrBufferFull); ended && !errors.Is(err, io.EOF) {
				i.broken = fmt.Errorf("line %d: %w", number+1, err) // what came before it is imported
				break
			}
			if ended && len(text) == 0 {
				break
			}
			number++
			l := line{number: number, start: len(c.texts)}
			if errors.Is(err, bufio.ErrBufferFull) {
				l.err = fmt.Errorf("it is longer than %d bytes", in.Size())
				skipLine(in)
			} else {
				c.texts = append(c.texts, bytes.TrimRight(text, "\r\n")...)
			}
			l.end = len(c.texts)
			c.lines = append(c.lines, l)
			if ended {
				break
			}
		}
		if len(c.lines) == 0 {
			return nil
		}
		for _, to := range []chan<- *chunk{ordered, undecoded} {
			select {
			case to <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// from returns how many lines are that one or behind it.
func (c *chunk) from(line uint64) int {
	n := 0
	for i := range c.lines {
		if c.lines[i].number >= line {
			n++
		}
	}
	return n
}

// skipLine passes over the rest of a line. An error comes again with the next read.
func skipLine(in *bufio.Reader) {
	for {
		if _, err := in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// decode decodes the lines; of those before from only their kind.
func (c *chunk) decode(from uint64) {
	defer close(c.decoded)
	for n := range c.lines {
		l := &c.lines[n]
		text := c.texts[l.start:l.end]
		switch {
		case l.number == 1:
			l.kind = headerLine
			if l.header, l.err = parseHeader(text); l.err != nil {
				l.err = fmt.Errorf("line 1: %w", l.err)
			}
		case isSpecial(text):
			l.kind = specialLine
			l.special, l.err = parseSpecial(text)
		default:
			l.kind = sessionLine
			if l.err == nil && l.number >= from {
				l.session, l.err = parseSession(text)
			}
		}
	}
}

// parseSession reads a session as an Export writes it: it says all that is stored.
func parseSession(text []byte) (*session.Session, error) {
	s, given, err := session.DecodeJSON(text, false)
	switch {
	case err != nil:
		return nil, err
	case !given.ID, !given.CreationDate, !given.ChangeDate, !given.Sequence:
		return nil, errors.New("a session must have id, creationDate, changeDate and sequence")
	}
	return s, nil
}
