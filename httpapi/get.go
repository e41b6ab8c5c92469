package httpapi

import (
	"context"
	"net/http"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// getRequest is GetSessionRequest.
type getRequest struct {
	token string
}

func decodeGet(c *call) (q getRequest, err error) {
	var given bool
	if c.route.connect() {
		q.token, given, err = c.reference()
	} else {
		q.token, given, err = c.param("sessionToken", "session_token")
	}
	if err != nil {
		return q, err
	}
	if c.route.beta {
		return q, nil
	}
	if !nameLength(c.id) {
		return q, invalid("GetSessionRequest", "SessionId", wrongLength)
	}
	if n := utf8.RuneCountInString(q.token); given && (n < 1 || n > maxSessionToken) {
		return q, invalid("GetSessionRequest", "SessionToken", "value length must be between 1 and 500 runes, inclusive")
	}
	return q, nil
}

const (
	wrongLength = "value length must be between 1 and 200 runes, inclusive"
	// maxSessionToken is the longest session token that ZITADEL takes in a
	// request, in characters. Its own have about 283.
	maxSessionToken = 500
)

func nameLength(s string) bool {
	n := utf8.RuneCountInString(s)
	return 1 <= n && n <= session.MaxNameLen
}

// getSession answers GetSession.
func (s *Server) getSession(ctx context.Context, c *call, q getRequest) error {
	id, err := knownID(c.id)
	if err != nil {
		return err
	}
	get := s.config.Store.Get
	if c.fresh {
		get = s.config.Store.GetFresh
	}
	stored, err := get(ctx, id)
	if err != nil {
		return err
	}
	return c.writeSession(stored, q.token)
}

// writeSession answers with stored, if the caller may see it. A session token
// decides alone, also against the caller's permissions, as in ZITADEL.
func (c *call) writeSession(stored *session.Stored, token string) error {
	if token != "" {
		if !stored.Token.Matches(token) {
			return errGetToken
		}
	} else if sees := c.caller.Sees(); !sees.Match(&stored.Facts) {
		return errDenied
	}
	if !c.route.connect() { // there it is a POST
		var tag [24]byte
		c.http.Response.Header.SetCanonical(etagName, appendETag(tag[:0], stored.Sequence))
		if list := c.http.Request.Header.PeekCanonical(ifNoneMatchName); len(list) > 0 && matches(string(list), stored.Sequence, true) {
			c.http.SetStatusCode(http.StatusNotModified)
			return nil
		}
	}
	c.begin(len(stored.Doc) + len(`{"session":}`))
	c.out = append(c.out, `{"session":`...)
	c.out = append(c.out, stored.Doc...)
	return c.end(http.StatusOK)
}

// findFresh reads the session with an ID from outside, in order to write it.
func (s *Server) findFresh(ctx context.Context, id string) (*session.Stored, error) {
	parsed, err := knownID(id)
	if err != nil {
		return nil, err
	}
	return s.config.Store.GetFresh(ctx, parsed)
}

// knownID checks an ID from outside. One that no session can have is unknown.
func knownID(id string) (session.ID, error) {
	parsed, err := session.ParseID(id)
	if err != nil {
		return "", errUnknownSession
	}
	return parsed, nil
}
