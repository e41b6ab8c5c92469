package index

import (
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Evidence notes the copies that a search was answered from. The same search finds the
// same as long as the evidence holds. nil notes nothing. One goroutine may use it at a
// time.
type Evidence struct {
	marks []Mark
	// ends is the first instant at which a session that was looked at ends.
	ends session.Time
	// other says that something was read that nothing marks.
	other bool
}

// maxMarks bounds the copies that evidence notes.
const maxMarks = 32

// Mark is a counter of the changes of a copy, and its value before the copy was looked
// up.
type Mark struct {
	Changes *atomic.Uint32
	Was     uint32
}

// NewEvidence returns evidence of nothing yet.
func NewEvidence() *Evidence { return &Evidence{ends: session.Never} }

// Note notes a copy: of a list if ends is session.Never, else of a session that ends
// then.
func (e *Evidence) Note(m Mark, ends session.Time) {
	switch {
	case e == nil:
	case len(e.marks) == maxMarks:
		e.other = true
	default:
		e.marks = append(e.marks, m)
		e.ends = min(e.ends, ends)
	}
}

// Other notes that something was read that nothing marks, so that the evidence never
// holds.
func (e *Evidence) Other() {
	if e != nil {
		e.other = true
	}
}

// Copies returns how many copies it notes.
func (e *Evidence) Copies() int { return len(e.marks) }

// Holds says whether nothing that it notes has changed, nor ended at now.
func (e *Evidence) Holds(now session.Time) bool {
	if e.other || now >= e.ends {
		return false
	}
	for i := range e.marks {
		if m := &e.marks[i]; m.Changes.Load() != m.Was {
			return false
		}
	}
	return true
}
