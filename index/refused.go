package index

import "fmt"

// Error names the predicate and the limit, and says what would help.
func (e *TooCostlyError) Error() string {
	what := "the search has no predicate to start from and"
	if e.Predicate != "" {
		what = "the most selective predicate, " + e.Predicate + ","
	}
	leaves := fmt.Sprintf("more than %d candidates to examine", e.Limit)
	if e.Candidates > int64(e.Limit) {
		leaves = fmt.Sprintf("%d candidates to examine, more than the limit of %d", e.Candidates, e.Limit)
	}
	help := "narrow the search"
	if e.Unprivileged {
		help = "narrow the search, or grant the caller session.read"
	}
	return fmt.Sprintf("search too costly: %s leaves %s; %s", what, leaves, help)
}

// TooCostlyError refuses a search that would have to examine more candidates
// than allowed.
type TooCostlyError struct {
	// Predicate is the JSON name of the predicate that was best to start from,
	// "" if the search has none.
	Predicate string
	Limit     int
	// Candidates is how many the driver counted; 0 where the caller may not see all
	// sessions, and so may not know.
	Candidates int64
	// Unprivileged says that the caller sees only its own sessions, so that
	// session.read would make the search cheaper.
	Unprivileged bool
}
