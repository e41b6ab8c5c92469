package upstream

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// RefusedError is the error of a call AsOurs that ZITADEL understands and refuses. It has not been carried out, and is
// refused again until somebody changes something there.
type RefusedError struct {
	Status int
	// ID is ZITADEL's ID of the error, "" if it has none.
	ID string
}

// Error says what ZITADEL answered, and repeats nothing else of it. (I6)
func (e *RefusedError) Error() string {
	text := "zitadel refuses it: " + statusReason(e.Status)
	if e.ID != "" {
		text += " (" + e.ID + ")"
	}
	return text
}

// denies says whether our account has no right to what was asked for.
func (e *RefusedError) denies() bool {
	return e.Status == http.StatusForbidden || e.Status == http.StatusNotFound && strings.HasPrefix(e.ID, idNoMember)
}

// Page is a page of a list.
type Page struct {
	Sessions []Listed
	// Total is what ZITADEL says of how many match: in some of its settings it is only how many the page has.
	Total uint64
	// At is when ZITADEL made it, by its clock; zero if it does not say.
	At session.Time
}

// Listed is a session in a list.
type Listed struct {
	ID session.ID
	// Decoded is what is known here of it, nil if it cannot be read.
	Decoded *session.Session
}

// List is ListSessions with our credentials. Its error is a *RefusedError, or wraps ErrUnavailable.
func (c *Client) List(ctx context.Context, body []byte) (*Page, error) {
	a, err := c.ListSessions(ctx, body, AsOurs())
	if err == nil {
		err = a.failure(true)
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Details struct {
			Total     uint64    `json:"totalResult,string"`
			Timestamp time.Time `json:"timestamp"`
		}
		Sessions []json.RawMessage
	}
	if json.Unmarshal(a.Body, &answer) != nil {
		return nil, &UnavailableError{Reason: "its answer is no list of sessions"}
	}
	page := &Page{Total: answer.Details.Total, Sessions: make([]Listed, len(answer.Sessions))}
	if !answer.Details.Timestamp.IsZero() {
		page.At = session.TimeOf(answer.Details.Timestamp)
	}
	for i, raw := range answer.Sessions {
		var named struct {
			ID session.ID `json:"id"`
		}
		if json.Unmarshal(raw, &named) != nil {
			return nil, &UnavailableError{Reason: "its answer is no list of sessions"}
		}
		decoded, _, _ := decode(raw, c.sessionBytes)
		page.Sessions[i] = Listed{named.ID, decoded}
	}
	return page, nil
}

// Delete is DeleteSession with our credentials. It succeeds where there is no such session, too, and may be repeated. Its
// error is a *RefusedError, a *session.InvalidError of an ID that is none, or wraps ErrUnavailable; then MayHaveHappened
// says whether the session may be gone.
func (c *Client) Delete(ctx context.Context, id session.ID) error {
	a, err := c.DeleteSession(ctx, id, AsOurs())
	if err != nil {
		return err
	}
	return a.failure(false)
}

// failure is the error that an answer to a call AsOurs is, nil if it is a success. read says that the call changes nothing.
func (a *Answer) failure(read bool) error {
	if a.Status == http.StatusOK && a.isJSON() {
		return nil
	}
	if after := a.pause(time.Now()); after > 0 {
		return &RetryLaterError{After: after}
	}
	p, ok := a.problem()
	switch {
	case ok && a.Status == http.StatusUnauthorized:
		return &UnavailableError{Reason: "it refuses our credentials"}
	case ok && a.Status < http.StatusInternalServerError:
		return &RefusedError{a.Status, p.id}
	}
	return &UnavailableError{Reason: statusReason(a.Status), Sent: !read}
}
