package upstream

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Session asks for a session as it is now, with our credentials, and whether it has this token if that is not "". It
// answers in the words of a store that keeps copies: session.ErrNotFound if there is none, session.ErrWrongToken if
// it has another token, session.ErrNotKept if it is one that cannot be kept; every other error
// wraps session.ErrUnavailable or ErrUnavailable. (I2) The session is the caller's.
func (c *Client) Session(ctx context.Context, id session.ID, token string) (*session.Session, error) {
	got, err := c.GetSession(ctx, id, token, AsOurs())
	if err != nil {
		return nil, err
	}
	switch {
	case got.Outcome == NotFound:
		return nil, session.ErrNotFound
	case got.Outcome == TokenRefused:
		return nil, session.ErrWrongToken
	case got.Outcome != Found:
		return nil, fmt.Errorf("%w: zitadel does not show sessions to our account", session.ErrUnavailable)
	case !got.Keepable:
		return nil, fmt.Errorf("%w: %s", session.ErrNotKept, got.Why)
	}
	return got.Decoded, nil
}
