package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// putRequest is a whole session, as PUT and import take it.
type putRequest struct {
	session *session.Session
	given   session.Given
	// issueToken asks for a token of our making.
	issueToken bool
	// precondition checks the stored version; nil checks nothing.
	precondition func(exists bool, sequence uint64) error
	// guessNew skips the first look for a stored version: most imported
	// sessions are new, and the write tells if one is not.
	guessNew bool
}

// putResult is what became of a putRequest.
type putResult struct {
	next    *session.Session
	token   string
	created bool
	// expired says that the session was due, so that nothing is stored.
	expired bool
}

func decodePut(c *call) (*putRequest, error) {
	q := &putRequest{precondition: c.precondition}
	var err error
	if q.issueToken, err = c.switched("issueToken", "issue_token"); err != nil {
		return nil, err
	}
	ignoreUnknown, err := c.ignoreUnknown()
	if err != nil {
		return nil, err
	}
	if q.session, q.given, err = session.DecodeJSON(c.body, ignoreUnknown); err != nil {
		return nil, err
	}
	if q.issueToken && q.given.TokenSHA256 {
		return nil, &refusal.Error{Code: refusal.Invalid, Text: "invalid issueToken: must not be given together with tokenSha256"}
	}
	if err := storableID(c.id); err != nil {
		return nil, err
	}
	if q.given.ID && string(q.session.ID) != c.id {
		if _, err := session.ParseID(string(q.session.ID)); err != nil {
			return nil, err
		}
		return nil, &session.InvalidError{Field: "id", Problem: fmt.Sprintf("is %s, where the path has %s: both must be the same", q.session.ID, c.id)}
	}
	q.session.ID = session.ID(c.id)
	return q, nil
}

// ignoreUnknown says whether PUT or import passes over members that are not
// known, such as a newer ZITADEL may have.
func (c *call) ignoreUnknown() (bool, error) { return c.switched("ignoreUnknown", "ignore_unknown") }

// switched returns the value of a query parameter that is true or false; false
// if it is not there.
func (c *call) switched(name, snake string) (on bool, err error) {
	text, given, err := c.param(name, snake)
	if err != nil || !given {
		return false, err
	}
	if on, err = strconv.ParseBool(text); err != nil {
		return false, &refusal.Error{Code: refusal.Invalid, Text: "invalid " + name + ": must be true or false"}
	}
	return on, nil
}

// putSession answers PUT of a session.
func (s *Server) putSession(ctx context.Context, c *call, q *putRequest) error {
	c.session = q.session.ID
	if !c.caller.Write.All {
		return errDenied
	}
	done, err := s.put(ctx, c.caller, q)
	if err != nil {
		return err
	}
	c.writeDetails(s.config.InstanceID, details{done.next.Sequence, done.next.ChangeDate})
	c.writeField("sessionToken", done.token)
	if done.created {
		return c.end(http.StatusCreated)
	}
	return c.end(http.StatusOK)
}

// put stores a whole session in the place of whatever is stored, unless that
// has a higher sequence. by creates what has no creator.
func (s *Server) put(ctx context.Context, by *caller.Caller, q *putRequest) (putResult, error) {
	a := newAttempts(ctx)
	for a.next() {
		now := s.config.Store.Now()
		var old *session.Stored
		if a.count > 1 || !q.guessNew || q.session.ExpirationDate <= now {
			var err error
			old, err = s.config.Store.GetFresh(ctx, q.session.ID)
			if err != nil && !errors.Is(err, session.ErrNotFound) {
				return putResult{}, err // I2
			}
		}
		done, err := s.replace(ctx, by, q, old, now)
		if errors.Is(err, session.ErrConflict) {
			continue
		}
		return done, err
	}
	return putResult{}, a.overtaken()
}

// replace puts q in the place of old, nil if nothing is stored.
func (s *Server) replace(ctx context.Context, by *caller.Caller, q *putRequest, old *session.Stored, now session.Time) (putResult, error) {
	if q.precondition != nil {
		var sequence uint64
		if old != nil {
			sequence = old.Sequence
		}
		if err := q.precondition(old != nil, sequence); err != nil {
			return putResult{}, err
		}
	}
	next, token := q.complete(by, old, now)
	if err := next.Validate(s.config.MaxSessionBytes); err != nil {
		return putResult{}, err
	}
	if old != nil && next.Sequence < old.Sequence {
		return putResult{}, errStale
	}
	done := putResult{next: next, token: token, created: old == nil}
	if next.ExpirationDate <= now { // I1
		// Nothing older than it may come back, whatever was stored.
		gone := session.Stored{Facts: session.Facts{ID: next.ID, Expiration: session.Never}}
		if old != nil {
			gone = *old
		}
		gone.Sequence = max(gone.Sequence, max(next.Sequence, 1)-1)
		_, err := s.config.Store.Delete(ctx, &gone, "expired")
		if errors.Is(err, session.ErrNotFound) {
			err = session.ErrConflict // it has ended, or was deleted, since it was read
		}
		return putResult{next: next, expired: true}, err
	}
	return done, s.config.Store.Put(ctx, next, old)
}

// complete fills in what q does not say: from the stored version, or else as
// for a new session.
func (q *putRequest) complete(by *caller.Caller, old *session.Stored, now session.Time) (next *session.Session, token string) {
	copied := *q.session
	next = &copied
	creation, sequence, creator := now, uint64(1), by.UserID
	if old != nil {
		creation, sequence, creator = old.Creation, old.Sequence+1, old.Creator
	}
	if !q.given.CreationDate {
		next.CreationDate = creation
	}
	if !q.given.ChangeDate {
		next.ChangeDate = now
	}
	if !q.given.Sequence {
		next.Sequence = sequence
	}
	if !q.given.Creator {
		next.Creator = creator
	}
	switch {
	case q.issueToken:
		token, next.Token = session.NewToken(next.ID)
		next.TokenForeign = false
	case old != nil && (!q.given.TokenSHA256 || next.Token == old.Token):
		next.Token, next.TokenForeign = old.Token, old.TokenForeign
	}
	return next, token
}

// routeWords stand where an ID would in the paths of calls: by some methods such
// a path is a call, by others it would be a session. A test compares them with
// the routes.
var routeWords = []string{"search", "import", "revoke"}

// storableID checks an ID that somebody else gives to a session that is to be
// stored.
func storableID(id string) error {
	if _, err := session.ParseID(id); err != nil {
		return err
	}
	if slices.Contains(routeWords, id) {
		return &session.InvalidError{Field: "id", Problem: "must not be search, import or revoke: these are calls"}
	}
	return nil
}
