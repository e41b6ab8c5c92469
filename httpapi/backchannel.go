package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/forward"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

const (
	logoutPath = "/backchannel-logout"
	// maxLogoutBytes is the largest body of a back-channel logout.
	maxLogoutBytes = 16 << 10
	// maxLogoutHeader bounds its headers: less than of other requests, because nobody
	// is known before the body has come. Gateways add certificates to them.
	maxLogoutHeader = 16 << 10
	// logoutTimeout bounds how long one may take, and where the sessions live in a ZITADEL that takes longer, its
	// timeout does. What it has done by then is done; the sender is told to come again.
	logoutTimeout = time.Second
	// maxLogouts bounds how many run at a time.
	maxLogouts = 64
)

var (
	errNoIssuer     = &refusal.Error{Code: refusal.Invalid, Text: "no issuer is configured", Close: true}
	errLogoutHeader = &refusal.Error{Code: refusal.Invalid, Text: fmt.Sprintf("request headers too large: at most %d bytes here", maxLogoutHeader), Close: true} // of events, too
	errLogoutForm   = &refusal.Error{Code: refusal.Invalid, Text: "the Content-Type must be application/x-www-form-urlencoded, and the body such a form"}
	errLogoutField  = &refusal.Error{Code: refusal.Invalid, Text: "the form must have the field logout_token, once"}
	errLogoutUsed   = &refusal.Error{Code: refusal.Invalid, Text: "invalid token: jti: it was used before"}
	errLogoutLeft   = &refusal.Error{Code: refusal.Unavailable, Text: "ZITADEL refuses to delete sessions to the account of --upstream-token-file"}
	errLogoutBusy   = &refusal.Error{Code: refusal.Unavailable, Text: fmt.Sprintf("at most %d logouts may run at a time", maxLogouts)}
)

// backchannelLogout answers POST /backchannel-logout (OpenID Connect
// Back-Channel Logout 1.0): the token that an issuer sends names a session, or
// a user all of whose sessions end. The token is the only credential.
//
// A token counts once, in whatever process: it must not end the sessions that a
// user begins after it. It is asked first whether it was used, then the
// sessions end, and only then it is noted as used. Were it noted first, a crash
// between the two would lose the logout, because the sender's next try would be
// refused. So:
//
//   - a crash or a failing store before the note: the token can come again, and
//     ends what is left of the sessions;
//   - the same token twice at a time, here or in two processes: both may end
//     the sessions, which is the same as once; one of them is told that the
//     token was used;
//   - a note whose answer is lost: the sessions have ended, the sender is told
//     503, and its next try that the token was used.
func (s *Server) backchannelLogout(base context.Context, c *call) error {
	issuer, err := s.takeLogout(base, c)
	s.logoutCounts.count(issuer, err)
	return err
}

// takeLogout does what a logout asks for, and returns the name of the token's issuer, "" if it is not of
// one.
func (s *Server) takeLogout(base context.Context, c *call) (issuer string, err error) {
	if err := s.refuseLogout(&c.http.Request.Header); err != nil {
		return "", err
	}
	if server.Expected(c.http) {
		return "", server.ErrContinue
	}
	token, err := c.logoutToken()
	if err != nil {
		return "", err
	}
	drained, _, stop := server.UntilDrained(base)
	defer stop()
	ctx, cancel := context.WithTimeout(c.withRequestID(drained), max(logoutTimeout, s.config.UpstreamTimeout))
	defer cancel()
	l, err := s.logoutOf(ctx, token)
	if err != nil {
		return "", err
	}
	// Only a verified token gets a place: made-up ones must not keep an issuer out.
	if !s.logouts.Enter() {
		return l.Issuer, errLogoutBusy
	}
	defer s.logouts.Leave()
	c.caller = &caller.Caller{Name: "issuer " + l.Issuer, UserID: l.UserID}
	c.session = l.SessionID
	used, err := s.config.Store.Used(ctx, l.ID)
	if err != nil {
		return l.Issuer, err
	}
	if used {
		return l.Issuer, errLogoutUsed
	}
	ended, err := s.endSessions(ctx, c, l)
	c.logged = append(c.logged, slog.Uint64("revoked", ended))
	if err != nil {
		return l.Issuer, err
	}
	first, err := s.config.Store.Use(ctx, l.ID, session.TimeOf(l.Until))
	if err != nil {
		return l.Issuer, err
	}
	if !first {
		return l.Issuer, errLogoutUsed
	}
	c.http.Response.Header.SetNoDefaultContentType(true)
	c.http.Response.Header.SetContentTypeBytes(nil)
	c.http.SetStatusCode(http.StatusOK)
	return l.Issuer, nil
}

// refuseLogout refuses a logout by its headers alone: nothing is to be kept for
// somebody without credentials while a body is waited for.
func (s *Server) refuseLogout(h *fasthttp.RequestHeader) error {
	switch {
	case s.Callers.Issuers() == nil:
		return errNoIssuer
	case len(h.RequestURI())+len(h.RawHeaders()) > maxLogoutHeader:
		return errLogoutHeader
	case h.ContentLength() > maxLogoutBytes:
		return server.TooLarge(maxLogoutBytes)
	}
	return nil
}

// logoutToken reads the form and returns the token in it.
func (c *call) logoutToken() (string, error) {
	kind, _, err := mime.ParseMediaType(string(c.http.Request.Header.ContentType()))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return "", errLogoutForm
	}
	if err := c.readBody(maxLogoutBytes); err != nil {
		return "", err
	}
	form, err := url.ParseQuery(string(c.body)) // I8
	if err != nil {
		return "", errLogoutForm
	}
	if tokens := form["logout_token"]; len(tokens) == 1 {
		return tokens[0], nil
	}
	return "", errLogoutField
}

// logoutOf verifies a logout token.
func (s *Server) logoutOf(ctx context.Context, token string) (*oidc.Logout, error) {
	issuers := s.Callers.Issuers()
	if issuers == nil {
		return nil, errNoIssuer // any more
	}
	l, err := issuers.Logout(ctx, token)
	e, invalid := errors.AsType[*oidc.InvalidError](err)
	if invalid && e.Later && !e.Expired { // a sender repeats what is answered so, and never what is refused
		return nil, &refusal.Error{Code: refusal.Unavailable, Text: e.Error() + "; try again", Guessed: true}
	}
	if invalid {
		return nil, &refusal.Error{Code: refusal.Invalid, Text: e.Error(), Guessed: !e.Expired}
	}
	if err != nil {
		return nil, caller.ErrIssuer // I2
	}
	return l, nil
}

// endSessions ends what a logout token names: one session, seen here or not, or all sessions
// of a user, and the logins that JWTs name. A stored session must belong to the user, if the token names one as
// well.
func (s *Server) endSessions(ctx context.Context, c *call, l *oidc.Logout) (ended uint64, err error) {
	var replicas acknowledgements
	defer func() {
		least, _ := replicas.sum()
		c.acknowledged(least)
	}()
	end := func(ctx context.Context, name session.EndName, notAfter session.Time) error {
		got, err := s.config.Store.End(ctx, name, session.End{NotAfter: notAfter, Until: s.config.Store.Now().Add(l.Lifetime)})
		replicas.add(got)
		return err
	}
	if l.AllLogins {
		if err := end(ctx, session.EndOfUser(l.UserID), l.Issued); err != nil {
			return 0, err
		}
	}
	what := cache.Revocation{Query: &index.Query{Sees: index.Sees{All: true}}, Reason: "revoked", Replicated: replicas.add}
	if l.SessionID == "" {
		what.Query.Predicates = []index.Predicate{index.ByUser(l.UserID)}
		if l.Bears { // a new login passes, however late the logout comes: its end would be for good
			what.May = func(f *session.Facts) bool { return f.Creation < l.Issued.Add(time.Second) } // iat has whole seconds
		}
		return s.revokeOnce(ctx, what)
	}
	var unsure error // whose session it is
	if l.UserID != "" {
		var anothers bool
		if anothers, unsure = s.isAnothers(ctx, l); anothers {
			return 0, unsure // another user's under this ID stays
		}
	}
	// First, for it may be stored later than it ends; and with time of its own, for ZITADEL may have taken all that there was.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
	defer cancel()
	if err := end(noting, session.EndOfSession(l.SessionID), session.Never); err != nil || unsure != nil {
		return 0, cmp.Or(err, unsure)
	}
	what.Query.Predicates = []index.Predicate{index.ByIDs(l.SessionID)}
	if l.UserID != "" {
		what.May = func(f *session.Facts) bool { return f.UserID == l.UserID }
	}
	return s.revokeOnce(ctx, what)
}

// isAnothers says whether a session is another user's than the one whom a logout names. An error says that this is not
// known for sure, so that the sender must come again.
//
// Where ZITADEL cannot say whose the session is, its JWTs must not stay good until it can. The copy here tells then; a
// session without a copy counts as that of the user whom the issuer has named and signed for. Should that be wrong, JWTs with
// this ID are refused until the end is forgotten; the session itself is deleted only when ZITADEL says whose it is.
func (s *Server) isAnothers(ctx context.Context, l *oidc.Logout) (bool, error) {
	user, err := s.userOf(ctx, l.SessionID)
	if err == nil || errors.Is(err, session.ErrNotFound) {
		return err == nil && user != l.UserID, nil
	}
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
	defer cancel()
	stored, unread := s.config.Store.GetFresh(reading, l.SessionID)
	if unread != nil {
		return !errors.Is(unread, session.ErrNotFound), err // what cannot be read may be another's (I2)
	}
	return stored.UserID != "" && stored.UserID != l.UserID, err // a session may get its user later
}

// userOf returns the user of a session as it is now, "" if it has none, or session.ErrNotFound.
func (s *Server) userOf(ctx context.Context, id session.ID) (string, error) {
	if _, bad := session.ParseID(string(id)); bad == nil && s.config.Upstream != nil {
		got, err := s.config.Upstream.GetSession(ctx, id, "", upstream.AsOurs())
		switch {
		case err != nil:
			return "", forward.Unavailable(err)
		case got.Outcome == upstream.Found && got.Decoded != nil:
			facts := got.Decoded.Facts()
			return facts.UserID, nil
		case got.Outcome != upstream.NotFound:
			return "", errLogoutLeft
		}
	}
	stored, err := s.config.Store.GetFresh(ctx, id)
	if err != nil {
		return "", err
	}
	return stored.UserID, nil
}

// revokeOnce revokes sessions of a user or with an ID. What it cannot do is left for when the sender comes again.
func (s *Server) revokeOnce(ctx context.Context, what cache.Revocation) (revoked uint64, err error) {
	at, err := s.atZITADEL(what)
	switch {
	case err != nil:
		return 0, err
	case at == nil:
		return s.config.Store.Revoke(ctx, what)
	}
	revoked, err = at.Revoke(ctx)
	if errors.Is(err, upstream.ErrUnavailable) {
		return revoked, forward.Unavailable(err)
	}
	if failed, _, _ := at.Failed(); err == nil && failed > 0 {
		err = errLogoutLeft
	}
	return revoked, err
}

// logoutResults are how a logout may end: done; used before; to come again; refused for good.
var logoutResults = [...]string{"done", "used", "later", "refused"}

// logoutCounts counts logouts by issuer and result. It shows each issuer whose logouts are taken from
// the start, so that one whose logouts do not arrive can be seen. The zero value has no issuers.
type logoutCounts struct {
	issuers func() *oidc.Verifier
	mu      sync.Mutex
	counts  map[string]*[len(logoutResults)]uint64
}

var logoutsDesc = prometheus.NewDesc("cloakroom_logouts_total",
	"Back-channel logouts by issuer, empty if it is not known, and result: done, used before, to come again later, refused for good.", []string{"issuer", "result"}, nil)

// count counts a logout that has ended with err.
func (l *logoutCounts) count(issuer string, err error) {
	result := 0
	e, refused := errors.AsType[*refusal.Error](err)
	switch {
	case err == server.ErrContinue:
		return // it has only begun
	case err == nil:
	case err == errLogoutUsed:
		result = 1
	case refused && e.Code == refusal.Invalid:
		result = 3
	default:
		result = 2
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(issuer)[result]++
}

// of returns the counts of an issuer. The lock is held.
func (l *logoutCounts) of(issuer string) *[len(logoutResults)]uint64 {
	if l.counts == nil {
		l.counts = map[string]*[len(logoutResults)]uint64{}
	}
	if l.counts[issuer] == nil {
		l.counts[issuer] = new([len(logoutResults)]uint64)
	}
	return l.counts[issuer]
}

// Describe implements prometheus.Collector.
func (l *logoutCounts) Describe(to chan<- *prometheus.Desc) { to <- logoutsDesc }

// Collect implements prometheus.Collector.
func (l *logoutCounts) Collect(to chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.issuers(); v != nil {
		for _, issuer := range v.LogoutIssuers() {
			l.of(issuer)
		}
	}
	for issuer, counts := range l.counts {
		for i, n := range counts {
			to <- prometheus.MustNewConstMetric(logoutsDesc, prometheus.CounterValue, float64(n), issuer, logoutResults[i])
		}
	}
}
