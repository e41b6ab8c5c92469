package oidc

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// logoutEvent is the member of events that makes a token a logout token.
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// MaxLogoutAge is how old a logout token may be.
	MaxLogoutAge = 10 * time.Minute
	// maxLogoutTokenBytes is the longest logout token that is looked at.
	maxLogoutTokenBytes = 8 << 10
)

// Logout is what a logout token asks for.
type Logout struct {
	// Issuer is the configured name of the issuer.
	Issuer string
	// UserID and SessionID are the IDs here of what the configured claims name; at least one is
	// there. A SessionID means that session alone.
	UserID    string
	SessionID session.ID
	// Issued is the token's iat. Lifetime is how long ends of the issuer's logins are kept, and Bears says
	// that gateways bring its JWTs.
	Issued   session.Time
	Lifetime time.Duration
	Bears    bool
	// AllLogins says that JWTs name another session than SessionID, or none: so they all end that are of
	// logins of the user until then.
	AllLogins bool
	// ID names the token: a hash of its issuer and its jti.
	ID [sha256.Size]byte
	// Until is the instant from which on the token is too old to be taken.
	Until time.Time
}

// Logout verifies a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4
// and 2.6), with one exception: that its jti has not come before is for the
// caller to know. An *InvalidError that is not Later is for good: senders do not repeat what
// is refused so.
func (v *Verifier) Logout(ctx context.Context, token string) (*Logout, error) {
	if len(token) > maxLogoutTokenBytes {
		return nil, invalid(fmt.Sprintf("it has more than %d bytes", maxLogoutTokenBytes))
	}
	i := v.current.Load().byURL[issuerOf([]byte(token))]
	if i == nil {
		return nil, invalid("it is no JWT, or iss is not a configured issuer")
	}
	if i.logout == nil {
		return nil, invalid("iss: no logout is configured for this issuer")
	}
	if alg := algorithmOf(token); slices.Contains(algorithms, alg) && !slices.Contains(i.algorithms, alg) {
		return nil, i.refused(ctx, &InvalidError{Reason: "alg: it is not among the algorithms of this issuer", Later: true})
	}
	claims := jwt.MapClaims{}
	if _, err := i.check(ctx, i.logouts, token, claims, "jwt", "logout+jwt"); err != nil {
		return nil, i.refused(ctx, err)
	}
	l, err := i.logoutOf(claims, v.clock())
	if err != nil {
		return nil, i.refused(ctx, err)
	}
	return l, nil
}

// LogoutIssuers returns the names of the issuers whose logout tokens are taken.
func (v *Verifier) LogoutIssuers() []string {
	var names []string
	for _, i := range v.current.Load().list {
		if i.logout != nil {
			names = append(names, i.Name)
		}
	}
	return names
}

// logoutOf reads the claims of a token that is verified.
func (i *issuer) logoutOf(claims jwt.MapClaims, now time.Time) (*Logout, error) {
	issued, err := instant(claims.GetIssuedAt())
	if err != nil || issued.IsZero() {
		return nil, invalid("iat is missing")
	}
	until := issued.Add(MaxLogoutAge + i.leeway)
	if !now.Before(until) {
		return nil, &InvalidError{Reason: fmt.Sprintf("iat: it is older than %s", MaxLogoutAge), Expired: true}
	}
	id, _ := claims["jti"].(string)
	if id == "" {
		return nil, invalid("jti is missing")
	}
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return nil, invalid("events: it is no logout token")
	}
	if _, there := claims["nonce"]; there {
		return nil, invalid("nonce must not be there")
	}
	if claims["sub"] == nil && claims["sid"] == nil {
		return nil, invalid("sub or sid must be there")
	}
	l := &Logout{Issuer: i.Name, Until: until, Issued: session.TimeOf(issued), Lifetime: i.lifetime, Bears: i.verify != nil}
	user, ok := i.logout.userAt.text(claims)
	if ok && user != "" {
		l.UserID, ok = i.userID(user)
	}
	if !ok {
		return nil, invalid("the claim of the user is no name of a user")
	}
	switch sid := i.logout.sessionAt.find(claims).(type) {
	case nil:
	case string:
		if sid == "" {
			return nil, invalid("the claim of the session is empty")
		}
		l.SessionID = i.sessionID(sid)
	default:
		return nil, invalid("the claim of the session is no text")
	}
	if l.UserID == "" && l.SessionID == "" {
		return nil, invalid("the claims that are configured for user and session are missing")
	}
	if l.AllLogins = l.Bears && (l.SessionID == "" || !i.namesLogins()); l.AllLogins && l.UserID == "" {
		return nil, invalid("the claim of the user is missing, and JWTs do not name the session that is there")
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d:%s%s", len(i.URL), i.URL, id)
	h.Sum(l.ID[:0])
	return l, nil
}
