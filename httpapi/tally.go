package httpapi

import (
	"cmp"
	"slices"
	"sync"
)

// maxImportErrors is how many broken lines an import names.
const maxImportErrors = 1000

// tally counts what became of the lines of an import. It is safe for
// concurrent use.
type tally struct {
	mu sync.Mutex
	counts
}

type counts struct {
	stored, expired, failed uint64
	// lost is the first line that was given up, 0 if none was.
	lost uint64
	// errors are the first that occurred, by line, when they are read; up to
	// twice as many before.
	errors []lineError
}

// lineError is what is wrong with a line.
type lineError struct {
	line    uint64
	message string
}

// add counts one more of n, which is a field of t.
func (t *tally) add(n *uint64) {
	t.mu.Lock()
	*n++
	t.mu.Unlock()
}

// fail counts a broken line. The lines come in any order; the first ones are kept.
func (t *tally) fail(line uint64, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed++
	t.errors = append(t.errors, lineError{line, message})
	if len(t.errors) == 2*maxImportErrors {
		t.trim()
	}
}

// lose notes a line that was given up.
func (t *tally) lose(line uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == 0 || line < t.lost {
		t.lost = line
	}
}

func (t *tally) trim() {
	slices.SortFunc(t.errors, func(a, b lineError) int { return cmp.Compare(a.line, b.line) })
	t.errors = t.errors[:min(len(t.errors), maxImportErrors)]
}

// snapshot returns the counts as they are.
func (t *tally) snapshot() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trim()
	c := t.counts
	c.errors = slices.Clone(c.errors)
	return c
}

// lines is how many lines were dealt with.
func (c *counts) lines() uint64 { return c.stored + c.expired + c.failed }
