// Package refusal is what the HTTP API answers in place of what was asked for: an
// error in its final form, with its code, its HTTP status and its text. Look here
// for how an error reads on the wire; which error it is, is decided where it
// happens, and in httpapi for errors of the store.
package refusal

import "net/http"

// Code is a gRPC status code, which every error of the API carries.
type Code int

// The codes that there are, by gRPC's names.
const (
	Invalid       Code = 3
	Deadline      Code = 4
	NotFound      Code = 5
	Exists        Code = 6
	Denied        Code = 7
	Exhausted     Code = 8
	Precondition  Code = 9
	Aborted       Code = 10
	Unimplemented Code = 12
	Internal      Code = 13
	Unavailable   Code = 14
	Unauthorised  Code = 16
)

// statuses are the HTTP statuses of the codes.
var statuses = map[Code]int{
	Invalid:       http.StatusBadRequest,
	Deadline:      http.StatusGatewayTimeout,
	NotFound:      http.StatusNotFound,
	Exists:        http.StatusConflict,
	Denied:        http.StatusForbidden,
	Exhausted:     http.StatusTooManyRequests,
	Precondition:  http.StatusBadRequest,
	Aborted:       http.StatusConflict,
	Unimplemented: http.StatusNotImplemented,
	Internal:      http.StatusInternalServerError,
	Unavailable:   http.StatusServiceUnavailable,
	Unauthorised:  http.StatusUnauthorized,
}

// Status is the HTTP status of a code, where an error names no other; 0 for a code
// that is not one of these.
func (c Code) Status() int { return statuses[c] }

// Error is an error in its final form. ZITADEL's own errors have an ID,
// which clients tell them apart by. It is read-only once it was returned: errors
// with a fixed text are shared, and compared by their address.
type Error struct {
	// Code is required.
	Code Code
	// HTTP is the status; 0 takes that of the code.
	HTTP int
	// ID is that of one of ZITADEL's errors; "" is none.
	ID string
	// Text says what is wrong. It repeats nothing that may be a secret. (I6)
	Text string
	// Members are further members of its JSON, each with a comma before it; "" has none.
	Members string
	// Explain is a JSON object that says how it came to the error, "" for none. An error
	// with an ID has none.
	Explain string
	// Close ends the connection, because what the client still sends is not read.
	Close bool
	// RetryAfter is in how many seconds to try again; 0 says nothing.
	RetryAfter int
	// Guessed says that the credential that is refused may have been guessed: it
	// is not one that has ended, or may have.
	Guessed bool
}

// The answers of every listener to unknown paths and methods.
var (
	NoRoute  = &Error{Code: NotFound, Text: "Not Found"}
	NoMethod = &Error{Code: Unimplemented, HTTP: http.StatusMethodNotAllowed, Text: "Method Not Allowed"}
)

// Error returns the text, and the ID if there is one.
func (e *Error) Error() string {
	if e.ID == "" {
		return e.Text
	}
	return e.Text + " (" + e.ID + ")"
}

// Status is the HTTP status that e is answered with.
func (e *Error) Status() int {
	if e.HTTP != 0 {
		return e.HTTP
	}
	return e.Code.Status()
}
