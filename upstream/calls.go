package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// ListSessions searches with a body of ZITADEL's ListSessions, in JSON. Lists lag behind: a session
// that is not there may exist, and one that is may have gone.
func (c *Client) ListSessions(ctx context.Context, body []byte, as Authorization) (*Answer, error) {
	return c.Call(ctx, c.connect("list", "ListSessions", body, as, true))
}

// DeleteSession deletes a session. 200 is the answer, too, if there was none.
func (c *Client) DeleteSession(ctx context.Context, id session.ID, as Authorization) (*Answer, error) {
	if _, err := session.ParseID(string(id)); err != nil {
		return nil, err
	}
	body, err := json.Marshal(reference{ID: id})
	if err != nil {
		return nil, &UnavailableError{Reason: "the call cannot be written"}
	}
	return c.Call(ctx, c.connect("delete", "DeleteSession", body, as, false))
}

// Clock asks whether ZITADEL is up, and what time it is by its clock, or by that of a proxy that has answered for it: in whole seconds, zero if it does not
// say. It needs no credentials, and tells nothing of ours.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	a, err := c.Call(ctx, Request{Name: "health", Method: http.MethodGet, Path: "/debug/healthz"})
	switch {
	case err != nil:
		return time.Time{}, err
	case a.Status != http.StatusOK:
		return time.Time{}, &UnavailableError{Reason: statusReason(a.Status)}
	}
	return a.date, nil
}

// CheckCredentials asks whether ZITADEL accepts our credentials, and speaks the protocol that they are used
// with: it asks for a session that cannot be there. nil says so. What these credentials may see and
// delete it does not tell.
func (c *Client) CheckCredentials(ctx context.Context) error {
	s, err := c.GetSession(ctx, "0", "", AsOurs())
	switch {
	case err != nil:
		return err
	case s.Outcome != NotFound:
		return &UnavailableError{Reason: fmt.Sprintf("%s (%s)", statusReason(s.Answer.Status), s.Answer.ErrorID())}
	}
	return nil
}

// Unseeing is the error of Sees where ZITADEL does not show us a session that is there.
type Unseeing struct {
	Status int
	ID     string
}

// Error says so.
func (e *Unseeing) Error() string {
	return fmt.Sprintf("%v: our account may not see sessions: %s (%s)", ErrUnavailable, statusReason(e.Status), e.ID)
}

// Is says that e is ErrUnavailable.
func (e *Unseeing) Is(target error) bool { return target == ErrUnavailable }

// Sees asks whether ZITADEL shows us sessions: it lists one, and asks for that. (To ask for one that is not there tells nothing: ZITADEL says so to
// everybody.) It answers false if none is listed: there is none, or none for us. It answers an *Unseeing if we may not see it; every other error
// wraps ErrUnavailable, too.
func (c *Client) Sees(ctx context.Context) (bool, error) {
	page, err := c.List(ctx, []byte(`{"query":{"limit":1}}`))
	refused, ok := errors.AsType[*RefusedError](err)
	switch {
	case ok && refused.denies():
		return false, &Unseeing{refused.Status, refused.ID}
	case ok:
		return false, &UnavailableError{Reason: statusReason(refused.Status)}
	case err != nil:
		return false, err
	case len(page.Sessions) == 0:
		return false, nil
	}
	s, err := c.GetSession(ctx, page.Sessions[0].ID, "", AsOurs())
	switch {
	case err != nil:
		return false, err
	case s.Outcome == Denied:
		return false, &Unseeing{s.Answer.Status, s.Answer.ErrorID()}
	}
	return s.Outcome == Found, nil
}
