package imports

import (
	"cmp"
	"slices"
	"strconv"
	"sync"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// MaxErrors is how many broken lines an import names.
const MaxErrors = 1000

// count counts what became of the lines of an import. It is safe for
// concurrent use.
type count struct {
	mu sync.Mutex
	Counts
}

// Counts are what became of the lines of an import.
type Counts struct {
	// Stored were stored, Expired were due, so that nothing of them is stored, and
	// Failed are broken.
	Stored, Expired, Failed uint64
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

// add counts one more of n, which is a field of c.
func (c *count) add(n *uint64) {
	c.mu.Lock()
	*n++
	c.mu.Unlock()
}

// fail counts a broken line. The lines come in any order; the first ones are kept.
func (c *count) fail(line uint64, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Failed++
	c.errors = append(c.errors, lineError{line, message})
	if len(c.errors) == 2*MaxErrors {
		c.trim()
	}
}

// lose notes a line that was given up.
func (c *count) lose(line uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost == 0 || line < c.lost {
		c.lost = line
	}
}

func (c *count) trim() {
	slices.SortFunc(c.errors, func(a, b lineError) int { return cmp.Compare(a.line, b.line) })
	c.errors = c.errors[:min(len(c.errors), MaxErrors)]
}

// snapshot returns the counts as they are.
func (c *count) snapshot() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trim()
	now := c.Counts
	now.errors = slices.Clone(c.errors)
	return now
}

// Lines is how many lines were dealt with.
func (c *Counts) Lines() uint64 { return c.Stored + c.Expired + c.Failed }

// Append appends c to b as a JSON object, with the errors of the first broken lines.
// The caller closes it.
func (c *Counts) Append(b []byte) []byte {
	b = append(b, `{"stored":`...)
	b = strconv.AppendUint(b, c.Stored, 10)
	b = append(b, `,"expired":`...)
	b = strconv.AppendUint(b, c.Expired, 10)
	b = append(b, `,"failed":`...)
	b = strconv.AppendUint(b, c.Failed, 10)
	b = append(b, `,"errors":[`...)
	for i, e := range c.errors {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"line":`...)
		b = strconv.AppendUint(b, e.line, 10)
		b = append(b, `,"message":`...)
		b = protojson.AppendString(b, e.message)
		b = append(b, '}')
	}
	return append(b, ']')
}
