package batch

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
)

// readTrip is one round trip of Reads: the commands of several calls, and their
// replies.
type readTrip struct {
	commands int
	out, in  []byte
	frame    resp.Frame
	ends     []int // where in in the replies end that have come whole
	// refused is the first reply that is an error, nil if there is none.
	refused []byte
}

var readTrips = sync.Pool{New: func() any { return new(readTrip) }}

const (
	// maxReply bounds one reply, in bytes. A stored session has a good megabyte at the most.
	maxReply = 16 << 20
	// readAtOnce is how much is read at a time, in bytes.
	readAtOnce = 16 << 10
	// tripKept is how large the memory of a trip may be that is used again, in bytes.
	tripKept = 1 << 20
)

// begin makes t the trip of calls.
func (t *readTrip) begin(calls []*Call) {
	*t = readTrip{out: t.out[:0], in: t.in[:0], ends: t.ends[:0]}
	for _, c := range calls {
		t.out = append(t.out, c.out...)
		t.commands += c.commands
	}
}

// whole says whether all replies have come.
func (t *readTrip) whole() bool { return len(t.ends) == t.commands }

// read reads from conn until all replies have come.
func (t *readTrip) read(conn net.Conn) error {
	start := 0 // of the reply that is under way
	for !t.whole() {
		if cap(t.in)-len(t.in) < readAtOnce/2 {
			t.in = append(t.in, make([]byte, max(readAtOnce, len(t.in)))...)[:len(t.in)]
		}
		n, err := conn.Read(t.in[len(t.in):cap(t.in)])
		if n == 0 && err != nil {
			return err
		}
		t.in = t.in[:len(t.in)+n]
		for !t.whole() {
			n, err := t.frame.Next(t.in[start:], maxReply)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if t.refused == nil && t.in[start] == '-' {
				t.refused = t.in[start : start+n]
			}
			start += n
			t.ends = append(t.ends, start)
		}
	}
	if start < len(t.in) {
		return errors.New("redis answered more than it was asked")
	}
	return nil
}

// end gives each call its replies, or err if they have not all come.
func (t *readTrip) end(calls []*Call, err error) {
	start, done := 0, 0
	for _, c := range calls {
		if !t.whole() {
			c.err = err
			if err == nil {
				c.err = io.ErrUnexpectedEOF
			}
			continue
		}
		c.refused = false
		for _, end := range t.ends[done : done+c.commands] {
			c.refused = c.refused || t.in[start] == '-'
			c.in, start = append(c.in, t.in[start:end]...), end
		}
		done += c.commands
	}
	if cap(t.in)+cap(t.out) > tripKept {
		*t = readTrip{}
	}
}
