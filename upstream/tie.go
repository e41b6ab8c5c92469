package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// OIDCSessions is the kind of aggregate of the logins of applications.
const (
	OIDCSessions = "oidc_session"
	// typeOIDCSessionAdded is its event that one has begun.
	typeOIDCSessionAdded = "oidc_session.added"
)

// SearchTies is the search for all OIDC sessions that have begun after an instant.
func SearchTies(since session.Time) EventSearch {
	return EventSearch{AggregateTypes: []string{OIDCSessions}, Types: []string{typeOIDCSessionAdded}, Since: since}
}

// forbiddenRest is how long Tie does not ask again after our account was told that it may not.
const forbiddenRest = 5 * time.Second

// forbiddenTies is that our account may not search for events, until an instant.
type forbiddenTies struct {
	err   *Forbidden
	until time.Time
}

// Tie asks which session an OIDC session is part of, with our credentials: session.ErrNotFound if ZITADEL knows of no such OIDC
// session. Every other error wraps ErrUnavailable; it is a *Forbidden if our account may not search for events. (I2)
func (c *Client) Tie(ctx context.Context, oidcSession string) (session.Tie, error) {
	if f := c.forbiddenTies.Load(); f != nil && time.Now().Before(f.until) {
		return session.Tie{}, f.err
	}
	search := SearchTies(0)
	search.Aggregate, search.Last = oidcSession, true
	found, err := c.Events(ctx, search)
	if f, ok := errors.AsType[*Forbidden](err); ok {
		c.forbiddenTies.Store(&forbiddenTies{f, time.Now().Add(forbiddenRest)})
	}
	switch {
	case err != nil:
		return session.Tie{}, err
	case len(found) == 0:
		return session.Tie{}, session.ErrNotFound
	case found[0].Aggregate != oidcSession || found[0].Tie.User == "":
		return session.Tie{}, &UnavailableError{Reason: "its answer is no event that the OIDC session has begun"}
	}
	return found[0].Tie, nil
}

// tieWords are what is read of a payload, and nothing else. (I6)
type tieWords struct {
	session, user *string
}

// UnmarshalJSON implements json.Unmarshaler. What it does not understand is no error: payloads of other events have other forms.
func (w *tieWords) UnmarshalJSON(payload []byte) error {
	var read struct {
		SessionID *string `json:"sessionID"`
		UserID    *string `json:"userID"`
	}
	if json.Unmarshal(payload, &read) == nil {
		*w = tieWords{read.SessionID, read.UserID}
	}
	return nil
}

// tie returns what the words say, zero if one is missing: an absent session is not the same as none.
func (w *tieWords) tie() session.Tie {
	if w.session == nil || w.user == nil {
		return session.Tie{}
	}
	t, _ := session.NewTie(*w.session, *w.user)
	return t
}
