package transfer

import (
	"sync"
	"time"
)

// tally counts what becomes of lines, and knows up to which one all are dealt with. It is safe for concurrent use.
type tally struct {
	progress func(ImportProgress)

	mu       sync.Mutex
	imported Imported
	ahead    map[uint64]struct{} // dealt with, while one before them is not
	marks    []numberedMark      // not reached yet
	caughtUp time.Time
	expected uint64
}

type numberedMark struct {
	line uint64
	date time.Time
}

func newTally(progress func(ImportProgress)) *tally {
	return &tally{progress: progress, ahead: map[uint64]struct{}{}}
}

// count has do count.
func (t *tally) count(do func(*Imported)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do(&t.imported)
}

// done says that a line is dealt with.
func (t *tally) done(line uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ahead[line] = struct{}{}
	for {
		next := t.imported.Lines + 1
		if _, ok := t.ahead[next]; !ok {
			break
		}
		delete(t.ahead, next)
		t.imported.Lines = next
	}
	for len(t.marks) > 0 && t.marks[0].line <= t.imported.Lines+1 {
		t.caughtUp, t.marks = t.marks[0].date, t.marks[1:]
	}
}

// mark notes a mark that counts when all lines before it are dealt with.
func (t *tally) mark(line uint64, m *Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marks = append(t.marks, numberedMark{line, m.Date})
}

// expect notes about how many sessions come.
func (t *tally) expect(sessions uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected = sessions
}

func (t *tally) snapshot() Imported {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.imported
}

// tell tells how far it is.
func (t *tally) tell() {
	if t.progress == nil {
		return
	}
	t.mu.Lock()
	p := ImportProgress{t.imported, t.expected, t.caughtUp}
	t.mu.Unlock()
	t.progress(p)
}
