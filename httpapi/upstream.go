package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/forward"
	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/valyala/fasthttp"
)

// own is the call's own Authorization. It must go to ZITADEL only if it is ZITADEL's: c.caller.Upstream.
func (c *call) own() upstream.Authorization {
	return upstream.As(string(c.http.Request.Header.PeekCanonical(authorizationName))) // I8
}

// forward hands a call of one of ZITADEL's own callers on, as it is, and makes the answer ours: ZITADEL decides what that
// caller may. unknown says that what it asks for may have happened, whatever the answer is.
//
// A call of a caller who is known here only must never go this way. With our account ZITADEL lets it do all that we may, and
// ZITADEL may read a request otherwise than we do: what is asked with our account, we write ourselves.
func (s *Server) forward(ctx context.Context, c *call) (a *upstream.Answer, unknown bool, err error) {
	if !c.caller.Upstream {
		return nil, false, errDenied
	}
	q := upstream.Request{Name: c.route.call, Path: string(c.http.RequestURI()), Body: c.body, As: c.own(), Read: !c.route.writes} // I8
	a, unknown, err = forward.Call(ctx, s.config.Upstream, c.http, q)
	if err == nil {
		forward.Write(c.http, a)
	}
	return a, unknown, err
}

// listUpstream answers ListSessions.
func (s *Server) listUpstream(ctx context.Context, c *call) error {
	if c.caller.Upstream {
		_, _, err := s.forward(ctx, c)
		return err
	}
	if !c.caller.Read.All {
		return errDenied // ZITADEL would show all that our account may see
	}
	if !c.route.beta && request.Explains(c.body) {
		return errUpstreamExplain
	}
	// Who may see all sessions may search for any. The path is the route's, not the caller's: nobody else should read that.
	q := upstream.Request{Name: c.route.call, Path: c.route.path, Body: c.body, As: upstream.AsOurs(), Read: true}
	a, _, err := forward.Call(ctx, s.config.Upstream, c.http, q)
	if err == nil {
		forward.Write(c.http, a)
	}
	return err
}

// getUpstream answers GetSession: by a copy if the caller may see that, else as ZITADEL does.
func (s *Server) getUpstream(ctx context.Context, c *call) error {
	token, err := decodeGet(c)
	if !c.caller.Upstream {
		if err != nil {
			return err
		}
		return s.getWithOurs(ctx, c, token)
	}
	id, bad := session.ParseID(c.id)
	if err != nil || bad != nil { // ZITADEL's own words
		_, _, err = s.forward(ctx, c)
		return err
	}
	question := forward.Ask(c.http.Request.Header.PeekCanonical(authorizationName), c.id, token)
	if version, ok := s.permissions.Shows(question, time.Now()); ok && !c.fresh {
		if stored, err := s.copyOf(ctx, c, id, ""); err == nil && forward.Version(sha256.Sum256(stored.Doc)) == version {
			return c.writeDoc(stored.Doc)
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

// getWithOurs answers GetSession to a caller who is known here only, as this caller's permissions say.
func (s *Server) getWithOurs(ctx context.Context, c *call, token string) error {
	id, err := knownID(c.id)
	if err != nil {
		return err
	}
	stored, err := s.copyOf(ctx, c, id, token)
	switch {
	case err == nil:
		return c.writeSession(stored, token)
	case errors.Is(err, session.ErrWrongToken):
		return errGetToken
	case !errors.Is(err, session.ErrNotKept):
		return err
	case token == "" && !c.caller.Read.All:
		return errDenied
	}
	// Its token, or a permission for all sessions, lets the caller see it, also what is not known here of it.
	got, err := s.config.Upstream.GetSession(ctx, id, token, upstream.AsOurs())
	switch {
	case err != nil:
		return forward.Unavailable(err)
	case got.Outcome == upstream.Found:
		return c.writeDoc(got.Raw)
	case got.Outcome == upstream.NotFound:
		return errUnknownSession
	case got.Outcome == upstream.TokenRefused:
		return errGetToken
	}
	return forward.Unavailable(&upstream.Unseeing{Status: got.Answer.Status, ID: got.Answer.ErrorID()})
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

// takeEvent answers POST /events/zitadel: an event that the ZITADEL has sent by itself. The signature is the only credential.
// ZITADEL sends each event once and may wait for the answer, so nothing is waited for here: the event is verified and queued.
func (s *Server) takeEvent(_ context.Context, c *call) error {
	err := s.deliver(c)
	if err != nil && err != server.ErrContinue {
		s.events.Refused(err)
	}
	return err
}

func (s *Server) deliver(c *call) error {
	h := &c.http.Request.Header
	signature, err := s.eventSignature(h)
	if err != nil {
		return err
	}
	limit := webhook.SmallBody // of a body without a length, too
	if h.ContentLength() > limit {
		if !s.largeEvents.Enter() {
			return webhook.ErrBusy()
		}
		defer s.largeEvents.Leave()
		limit = webhook.MaxBody
	}
	if server.Expected(c.http) {
		return server.ErrContinue
	}
	if err := c.readBody(limit); err != nil {
		return err
	}
	if err := s.events.Deliver(signature, c.body); err != nil {
		return err
	}
	c.http.SetBodyString("{}")
	return nil
}

// eventSignature refuses an event by its headers alone, as refuseLogout does.
func (s *Server) eventSignature(h *fasthttp.RequestHeader) (*webhook.Signature, error) {
	switch {
	case len(h.RequestURI())+len(h.RawHeaders()) > maxLogoutHeader:
		return nil, errLogoutHeader
	case h.ContentLength() > webhook.MaxBody:
		return nil, server.TooLarge(webhook.MaxBody)
	}
	return s.events.Signature(h.PeekAll(webhook.Header))
}
