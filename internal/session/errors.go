package session

import (
	"errors"
	"fmt"
)

// What a store answers other than success. Every other error means that the
// answer is not known: callers treat it as ErrUnavailable. (I2)
var (
	// ErrNotFound: there is no such session, or it has ended.
	ErrNotFound = errors.New("session does not exist")
	// ErrRevoked, ErrExpired and ErrWrongToken are ErrNotFound of a session
	// token, where it is known why: the session was deleted, it has ended by
	// itself, or it lives and has another token now.
	ErrRevoked    = fmt.Errorf("%w: it was revoked", ErrNotFound)
	ErrExpired    = fmt.Errorf("%w: it has expired", ErrNotFound)
	ErrWrongToken = fmt.Errorf("%w under this token: it has another one", ErrNotFound)
	// ErrConflict: the stored version is not the one that the caller read; read again.
	ErrConflict = errors.New("the session was changed meanwhile")
	// ErrDeleted: the session was deleted at this sequence or a later one, so
	// this older version is not let in.
	ErrDeleted = errors.New("the session was deleted with a higher sequence")
	// ErrEnded: the session has ended for good, by a deletion or by its identity
	// provider, so that no version of it is let in.
	ErrEnded = errors.New("the session has ended: it was deleted, or its identity provider has ended it")
	// ErrNoToken is ErrNotFound of a token that the system of record has made for nobody.
	ErrNoToken = fmt.Errorf("%w: nobody has made this token", ErrNotFound)
	// ErrNotKept: the system of record has the session, and it has what is not known here, so that no copy is kept.
	ErrNotKept = errors.New("the session has what is not known here, and is not kept")
	// ErrUnavailable: Redis is away, late or out of order. It says nothing
	// about the session.
	ErrUnavailable = errors.New("the session store is unavailable")
	// ErrFull: the store takes no further session.
	ErrFull = errors.New("the session store is full")
	// ErrUserLimit: the user may have no further session; as a *UserLimitError.
	ErrUserLimit = errors.New("the user has as many sessions as are allowed")
)

// UserLimitError is ErrUserLimit with the limit: how many sessions a user may have.
type UserLimitError struct{ Limit int }

// Error names the limit.
func (e *UserLimitError) Error() string { return fmt.Sprintf("%v: %d", ErrUserLimit, e.Limit) }

// Unwrap returns ErrUserLimit.
func (e *UserLimitError) Unwrap() error { return ErrUserLimit }

// InvalidError says which field of an input is wrong, and why. Field is its
// path in JSON names ("factors.user.id"), Problem a phrase that names the
// limit ("must have at most 200 characters").
type InvalidError struct {
	Field   string
	Problem string
}

// Error returns field and problem in one line.
func (e *InvalidError) Error() string { return fmt.Sprintf("invalid %s: %s", e.Field, e.Problem) }

// BrokenDoc is the error of a stored document that cannot be read. It wraps
// ErrUnavailable: what the document says is not known. (I2)
func BrokenDoc(id ID, err error) error {
	return fmt.Errorf("%w: the document of session %s: %s", ErrUnavailable, id, err)
}
