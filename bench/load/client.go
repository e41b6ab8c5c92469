package load

import "math/rand/v2"

// Scenario makes the clients of a kind of load. One that also has a method
// Invalid() string is asked, after the run, why that proves nothing.
type Scenario interface {
	// Client returns what the n-th connection sends. r is its own.
	Client(n int, r *rand.Rand) Client
}

// Client is what one connection sends, and what it must get. One that also has a
// method Parse(b []byte, a *Answer) (n, least int, err error) reads its answers
// itself: n is how long the answer is that b begins with, 0 if b has not all of it,
// least how many bytes b must have before another try. One that has a method Connected()
// is told of each new connection, and one with Unasked(b []byte) bool is asked whether a
// server may send b between two requests. A client is used by one goroutine, which calls Next,
// Deep, Check.
type Client interface {
	// Next appends the next request to b, and returns the status that its answer must have.
	Next(b []byte) (request []byte, want int)
	// Check says what is untrue in an answer with that status, by a few bytes of it.
	Check(a *Answer) error
	// Deep returns a check of the same answer's body by all that the scenario
	// knows of it. It may run later, on another goroutine. nil: there is none.
	Deep() func(body []byte) error
	// Lost says that there was no answer, or one with another status.
	Lost()
}
