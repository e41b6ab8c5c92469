package cache

import "fmt"

// ForbiddenError says that Redis does not let its user send a command that there
// is no store without.
type ForbiddenError struct {
	Command string // "TIME"
	Why     string // what it is for
	Err     error  // what Redis said
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the Redis user must be allowed %s: %s; Redis says: %v", e.Command, e.Why, e.Err)
}

// Unwrap returns what Redis said.
func (e *ForbiddenError) Unwrap() error { return e.Err }
