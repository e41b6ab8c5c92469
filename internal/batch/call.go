package batch

import (
	"strconv"
	"sync"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
)

// Call holds the commands that one caller reads with in one round trip, and then their
// replies. Its zero value has none. One goroutine may use it at a time. During Reads.Do
// it belongs to Do; if the context ends Do, it belongs to Do for ever.
type Call struct {
	commands int
	out      []byte       // the commands, as RESP
	marks    []mark       // where in out they are
	in       resp.Replies // their replies, in their order
	replies  int          // how many these are
	refused  bool         // one of them is an error
	err      error        // why there are none
	lost     bool         // it belongs to Do for ever
}

// mark is where a command is, and its first key.
type mark struct{ start, key, keyEnd, end int }

// mostKept is how large the memory of a call may be that is used again, in bytes.
const mostKept = 256 << 10

var calls = sync.Pool{New: func() any { return new(Call) }}

// NewCall returns one without commands.
func NewCall() *Call { return calls.Get().(*Call) }

// Release gives c back: neither it nor its replies may be used any more. Its memory is
// used again, unless it belongs to Do.
func (c *Call) Release() {
	if c.lost || cap(c.out)+cap(c.in) > mostKept {
		return
	}
	*c = Call{out: c.out[:0], in: c.in[:0], marks: c.marks[:0]}
	calls.Put(c)
}

// Add adds a command, whose second word is its only key. It keeps none of the words.
func (c *Call) Add(words ...string) {
	m := mark{start: len(c.out)}
	c.out = append(strconv.AppendInt(append(c.out, '*'), int64(len(words)), 10), '\r', '\n')
	for i, w := range words {
		c.out = append(strconv.AppendInt(append(c.out, '$'), int64(len(w)), 10), '\r', '\n')
		if c.out = append(c.out, w...); i == 1 {
			m.key, m.keyEnd = len(c.out)-len(w), len(c.out)
		}
		c.out = append(c.out, '\r', '\n')
	}
	m.end = len(c.out)
	c.marks = append(c.marks, m)
	c.commands++
}

// take adds a command of another call.
func (c *Call) take(of *Call, m mark) {
	by := len(c.out) - m.start
	c.out = append(c.out, of.out[m.start:m.end]...)
	c.marks = append(c.marks, mark{m.start + by, m.key + by, m.keyEnd + by, m.end + by})
	c.commands++
}

// Replies returns the replies, once Do has returned without an error: as many as
// there are commands. They share the memory of c.
func (c *Call) Replies() resp.Replies { return c.in }
