package session

import "sync"

// Memory is what the sessions of one answer are read into, so that they need no
// memory of their own. Its zero value is ready. One goroutine may use it at a time.
type Memory struct {
	// Bytes hold what the sessions refer to, one behind the other. Whoever reads one
	// appends it; what is there already does not change.
	Bytes  []byte
	stored []Stored
	list   []*Stored
}

// A Memory that has room for more is not used again.
const (
	keptBytes  = 256 << 10
	keptStored = 256
)

var memories = sync.Pool{New: func() any { return new(Memory) }}

// NewMemory returns one that has nothing in it.
func NewMemory() *Memory { return memories.Get().(*Memory) }

// Room returns n sessions, all of them zero, and a list that refers to none.
func (m *Memory) Room(n int) (stored []Stored, list []*Stored) {
	if cap(m.stored)-len(m.stored) < n { // those that were given out stay where they are
		m.stored = make([]Stored, 0, max(n, 8))
	}
	if cap(m.list)-len(m.list) < n {
		m.list = make([]*Stored, 0, max(n, 8))
	}
	from := len(m.stored)
	m.stored = m.stored[:from+n]
	first := len(m.list)
	m.list = m.list[:first+n]
	return m.stored[from:], m.list[first : first+n : first+n]
}

// Release gives the memory back. Nobody may use a session that was read into it any
// more, nor a text of one. nil has nothing to give.
func (m *Memory) Release() {
	if m == nil || cap(m.Bytes) > keptBytes || cap(m.stored) > keptStored {
		return
	}
	clear(m.stored)
	clear(m.list)
	m.Bytes, m.stored, m.list = m.Bytes[:0], m.stored[:0], m.list[:0]
	memories.Put(m)
}
