// Package usage collects what is wrong with how the program was called, so that all of
// it is reported at once.
package usage

import (
	"fmt"
	"strings"
)

// Error lists everything that is wrong with how the program was called.
type Error struct {
	Faults []string
}

// Error lists the faults, one a line if there are several.
func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return e.Faults[0]
	}
	return fmt.Sprintf("%d faults:\n  - %s", len(e.Faults), strings.Join(e.Faults, "\n  - "))
}

// Faults collects what is wrong, so that all of it is reported at once. No
// fault may hold a value that could be a secret. (I6)
type Faults []string

// Addf adds a fault, as fmt.Sprintf makes it.
func (f *Faults) Addf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// Err returns an *Error, or nil if nothing is wrong.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Faults: f}
}
