package index

import "fmt"

// Error names the predicate and the limit, and says what would help.
func (e *TooCostlyError) Error() string {
	what := "the search has no predicate to start from and"
	if e.Predicate != "" {
		what = "the most selective predicate, " + e.Predicate + ","
	}
	help := "narrow the search"
	if e.Unprivileged {
		help = "narrow the search, or grant the caller session.read"
	}
	return fmt.Sprintf("search too costly: %s leaves more than %d candidates to examine; %s", what, e.Limit, help)
}

// TooCostlyError refuses a search that would have to examine more candidates
// than allowed.
type TooCostlyError struct {
	// Predicate is the JSON name of the predicate that was best to start from,
	// "" if the search has none.
	Predicate string
	Limit     int
	// Unprivileged says that the caller sees only its own sessions, so that
	// session.read would make the search cheaper.
	Unprivileged bool
}
