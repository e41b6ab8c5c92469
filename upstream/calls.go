package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

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

// Healthy asks whether ZITADEL is up. nil says that it is; it needs no credentials, and tells nothing of ours.
func (c *Client) Healthy(ctx context.Context) error {
	a, err := c.Call(ctx, Request{Name: "health", Method: http.MethodGet, Path: "/debug/healthz"})
	switch {
	case err != nil:
		return err
	case a.Status != http.StatusOK:
		return &UnavailableError{Reason: statusReason(a.Status)}
	}
	return nil
}

// CheckCredentials asks whether ZITADEL accepts our credentials, and speaks the protocol that they are used
// with: it asks for a session that cannot be there. nil says so. What these credentials may see and
// delete it does not tell.
func (c *Client) CheckCredentials(ctx context.Context) error {
	s, err := c.GetSessionFresh(ctx, "0", "", AsOurs())
	switch {
	case err != nil:
		return err
	case s.Outcome != NotFound:
		return &UnavailableError{Reason: fmt.Sprintf("%s (%s)", statusReason(s.Answer.Status), s.Answer.ErrorID())}
	}
	return nil
}
