package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/forward"
	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// as says with whose credentials a call is handed on: with the caller's own, or where these are known here only, with ours.
func (c *call) as() upstream.Authorization {
	if c.caller.Upstream {
		return upstream.As(string(c.http.Request.Header.PeekCanonical(authorizationName))) // I8
	}
	return upstream.AsOurs()
}

// forward hands a call on, and makes the answer ours. unknown says that what it asks for may have happened, whatever
// the answer is.
func (s *Server) forward(ctx context.Context, c *call) (a *upstream.Answer, unknown bool, err error) {
	a, unknown, err = forward.Call(ctx, s.config.Upstream, c.http, c.route.call, !c.route.writes, c.body, c.as())
	if err == nil {
		forward.Write(c.http, a)
	}
	return a, unknown, err
}

// listUpstream answers ListSessions.
func (s *Server) listUpstream(ctx context.Context, c *call) error {
	if !c.caller.Upstream && !c.caller.Read.All {
		return errDenied // ZITADEL would show all that our account may see
	}
	_, _, err := s.forward(ctx, c)
	return err
}

// getUpstream answers GetSession: by a copy if the caller may see that, else as ZITADEL does.
func (s *Server) getUpstream(ctx context.Context, c *call) error {
	token, err := decodeGet(c)
	id, bad := session.ParseID(c.id)
	if err != nil || bad != nil { // ZITADEL's own words
		_, _, err = s.forward(ctx, c)
		return err
	}
	if !c.caller.Upstream {
		stored, err := s.copyOf(ctx, c, id, token)
		switch {
		case errors.Is(err, session.ErrWrongToken):
			return errGetToken
		case errors.Is(err, session.ErrNotKept):
			if token == "" && !c.caller.Read.All {
				return errDenied
			}
			_, _, err = s.forward(ctx, c)
			return err
		case err != nil:
			return err
		}
		return c.writeSession(stored, token)
	}
	question := forward.Ask(c.http.Request.Header.PeekCanonical(authorizationName), c.id, token)
	if version, ok := s.permissions.Shows(question, time.Now()); ok && !c.fresh {
		if stored, err := s.copyOf(ctx, c, id, ""); err == nil && forward.Version(sha256.Sum256(stored.Doc)) == version {
			return c.writeDoc(stored)
		}
	}
	asked := time.Now()
	a, _, err := s.forward(ctx, c)
	if err == nil && a.Status == http.StatusOK {
		if shown, err := decodeSession(a.Body); err == nil && shown.ID == id {
			s.permissions.Shown(question, sha256.Sum256(session.AppendJSON(nil, shown)), asked)
		}
	}
	return err
}

// copyOf reads a session that lives in ZITADEL; with its token, unless that is "".
func (s *Server) copyOf(ctx context.Context, c *call, id session.ID, token string) (*session.Stored, error) {
	if c.fresh {
		if err := s.config.Store.Outdate(ctx, id); err != nil {
			return nil, err
		}
	}
	if token != "" {
		return s.config.Store.Learn(ctx, id, token)
	}
	return s.config.Store.Get(ctx, id)
}

// decodeSession reads the session in an answer to GetSession, all of it.
func decodeSession(answer []byte) (shown *session.Session, err error) {
	err = protojson.Decode(answer, func(r *protojson.Reader) error {
		return r.Object(func(name string) error {
			if name != "session" {
				return nil
			}
			var err error
			shown, err = session.Decode(r)
			return err
		})
	})
	if err == nil && shown == nil {
		err = errUnknownSession
	}
	return shown, err
}

// written is what an answer to a write says.
type written struct {
	id, token string
	details   bool // it says of which version
}

// decodeWritten reads the answer to a write, as far as it is one.
func decodeWritten(answer []byte) (w written) {
	_ = protojson.Decode(answer, func(r *protojson.Reader) error {
		return r.Object(func(name string) error {
			switch name {
			case "sessionId":
				return r.String(&w.id)
			case "sessionToken":
				return r.String(&w.token)
			case "details":
				return r.Object(func(string) error { w.details = true; return r.Skip() })
			}
			return nil
		})
	})
	return w
}

// createUpstream answers CreateSession.
func (s *Server) createUpstream(ctx context.Context, c *call) error {
	if !c.caller.Upstream {
		return errUpstreamOurs
	}
	a, _, err := s.forward(ctx, c)
	if err != nil || a.Status >= http.StatusMultipleChoices {
		return err
	}
	w := decodeWritten(a.Body)
	s.learn(ctx, c, w.id, w.token)
	return nil
}

// learn reads a session that was just written, with its new token, so that a verify finds both. What fails here is
// done when it is asked for.
func (s *Server) learn(ctx context.Context, c *call, id, token string) {
	if id, err := session.ParseID(id); err == nil && token != "" {
		c.session = id
		_, _ = s.config.Store.Learn(ctx, id, token)
	}
}

// setUpstream answers SetSession.
func (s *Server) setUpstream(ctx context.Context, c *call) error {
	if !c.caller.Upstream {
		return errUpstreamOurs
	}
	id, named := s.writes(c)
	a, unknown, err := s.forward(ctx, c)
	if named && (unknown || err == nil && a.Status < http.StatusMultipleChoices) {
		if outdated := s.config.Store.Outdate(context.WithoutCancel(ctx), id); outdated != nil { // I4
			return outdated
		}
	}
	if err != nil || a.Status >= http.StatusMultipleChoices {
		return err
	}
	s.learn(ctx, c, string(id), decodeWritten(a.Body).token)
	return nil
}

// deleteUpstream answers DeleteSession.
func (s *Server) deleteUpstream(ctx context.Context, c *call) error {
	if !c.caller.Upstream {
		return errUpstreamOurs
	}
	id, named := s.writes(c)
	a, unknown, err := s.forward(ctx, c)
	if !named {
		return err
	}
	done := context.WithoutCancel(ctx) // the caller may have left
	var ended error
	switch {
	case unknown:
		ended = s.config.Store.Outdate(done, id)
	case err != nil || a.Status >= http.StatusMultipleChoices:
	case decodeWritten(a.Body).details:
		ended = s.config.Store.Terminate(done, id, "deleted") // I4
	default: // ZITADEL has never seen it
		ended = s.config.Store.Outdate(done, id)
	}
	if ended != nil {
		return ended
	}
	return err
}

// revokeUpstream answers RevokeSessions.
func (s *Server) revokeUpstream(ctx context.Context, c *call) error {
	if c.caller.Upstream {
		return errUpstreamRevoke
	}
	return answer(decodeRevoke, (*Server).revokeSessions)(s, ctx, c)
}

// writes returns the session that a SetSession or DeleteSession is about; ok is false if it names none that there can be.
func (s *Server) writes(c *call) (id session.ID, ok bool) {
	if c.route.connect() {
		q, _ := request.DecodeReference(c.body)
		c.id = q.ID
	}
	id, err := session.ParseID(c.id)
	if err == nil {
		c.session = id
	}
	return id, err == nil
}
