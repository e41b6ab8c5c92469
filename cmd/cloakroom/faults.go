package main

import (
	"fmt"
	"strings"
)

// usageError lists everything that is wrong with how the program was called.
type usageError struct {
	faults []string
}

// Error lists the faults, one a line if there are several.
func (e *usageError) Error() string {
	if len(e.faults) == 1 {
		return e.faults[0]
	}
	return fmt.Sprintf("%d faults:\n  - %s", len(e.faults), strings.Join(e.faults, "\n  - "))
}

// faults collects what is wrong, so that all of it is reported at once. No
// fault may hold a value that could be a secret. (I6)
type faults []string

func (f *faults) addf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// err returns a *usageError, or nil if nothing is wrong.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &usageError{faults: f}
}
