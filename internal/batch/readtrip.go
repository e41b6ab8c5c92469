package batch

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// readTrip is one round trip of Reads: the commands of several calls, each of which
// gets its replies as they come.
type readTrip struct {
	calls []*Call
	out   []byte
	// answered are the calls that have all their replies.
	answered int
	in       []byte // the beginning of the next reply
	frame    resp.Frame
	// refused is a reply that is an error, nil if there is none: the first, but rather one
	// that says something of the server than WRONGTYPE.
	refused []byte
}

var readTrips = sync.Pool{New: func() any { return new(readTrip) }}

const (
	// readAtOnce is how much is read at a time, in bytes.
	readAtOnce = 16 << 10
	// tripKept is how large the memory of a trip may be that is used again, in bytes.
	tripKept = 1 << 20
)

// begin makes t the trip of calls.
func (t *readTrip) begin(calls []*Call) {
	t.calls, t.out = calls, t.out[:0]
	for _, c := range calls {
		t.out = append(t.out, c.out...)
	}
	t.restart()
}

// restart forgets what has come: t is sent from its beginning.
func (t *readTrip) restart() {
	t.answered, t.in, t.frame, t.refused = 0, t.in[:0], resp.Frame{}, nil
	for _, c := range t.calls {
		c.in, c.replies, c.refused = c.in[:0], 0, false
	}
}

// whole says whether all replies have come.
func (t *readTrip) whole() bool { return t.answered == len(t.calls) }

// read reads from conn until all replies have come.
func (t *readTrip) read(conn net.Conn) error {
	for !t.whole() {
		if cap(t.in)-len(t.in) < readAtOnce/2 {
			t.in = append(t.in, make([]byte, max(readAtOnce, len(t.in)))...)[:len(t.in)]
		}
		n, err := conn.Read(t.in[len(t.in):cap(t.in)])
		if n == 0 && err != nil {
			return err
		}
		t.in = t.in[:len(t.in)+n]
		if err := t.take(); err != nil {
			return err
		}
	}
	if len(t.in) > 0 {
		return errors.New("redis answered more than it was asked")
	}
	return nil
}

// take gives the replies that are whole to their calls.
func (t *readTrip) take() error {
	left := t.in
	for !t.whole() {
		n, err := t.frame.Next(left, resp.MaxReply)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		t.give(left[:n])
		left = left[n:]
	}
	if len(left) < len(t.in) {
		t.in = t.in[:copy(t.in, left)]
	}
	return nil
}

// give gives a reply to the call that it is for.
func (t *readTrip) give(reply []byte) {
	c := t.calls[t.answered]
	c.in = append(c.in, reply...)
	if reply[0] == '-' {
		c.refused = true
		if t.refused == nil || bytes.HasPrefix(t.refused, []byte("-WRONGTYPE")) { // which says nothing of the server
			t.refused = bytes.Clone(reply)
		}
	}
	if c.replies++; c.replies == c.commands {
		t.answered++
	}
}

// end tells each call whether it has its replies, after the client's err. If the
// client or one of its hooks refuses what has come, nobody gets it (I4); what Redis
// itself has answered as an error is somebody's reply.
func (t *readTrip) end(err error) {
	_, isReply := errors.AsType[redis.Error](err)
	switch {
	case t.whole() && isReply:
		err = nil
	case !t.whole() && err == nil:
		err = io.ErrUnexpectedEOF
	}
	for _, c := range t.calls {
		c.err = err
	}
	t.calls = nil
	if cap(t.in)+cap(t.out) > tripKept {
		*t = readTrip{}
	}
}
