package httpapi

import (
	"context"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func decodeGet(c *call) (token string, err error) {
	q := request.Reference{ID: c.id}
	if c.route.connect() {
		if q, err = request.DecodeReference(c.body); err == nil {
			c.id = q.ID
		}
	} else {
		q.Token, q.Given, err = c.param("sessionToken", "session_token")
	}
	if err == nil && !c.route.beta {
		err = q.CheckGet()
	}
	return q.Token, err
}

// named takes over the session ID in a body, if the path has none, and refuses a
// request without one.
func (c *call) named(message, id string) error {
	if !c.route.connect() {
		return nil
	}
	if c.id = id; id == "" {
		return request.NoID(message)
	}
	return nil
}

// getSession answers GetSession.
func (s *Server) getSession(ctx context.Context, c *call, token string) error {
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
	return c.writeSession(stored, token)
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
	return c.writeDoc(stored.Doc)
}

// writeDoc answers with a session's document.
func (c *call) writeDoc(doc []byte) error {
	c.begin(len(doc) + len(`{"session":}`))
	c.out = append(c.out, `{"session":`...)
	c.out = append(c.out, doc...)
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
