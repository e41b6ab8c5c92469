package session

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// End says that logins have ended whose JWTs may not have expired: those of a session, or
// those of a user. The zero End has ended nothing.
type End struct {
	// NotAfter is the instant up to which what was authenticated has ended; Never says that
	// everything has.
	NotAfter Time
	// Until is when the end is forgotten: no token can need it then.
	Until Time
}

// Refuses says whether a login that began then has ended, as of now.
func (e End) Refuses(began, now Time) bool { return now < e.Until && began <= e.NotAfter }

// Over returns an end that refuses what e and other refuse.
func (e End) Over(other End) End {
	return End{NotAfter: max(e.NotAfter, other.NotAfter), Until: max(e.Until, other.Until)}
}

// String returns e as it is stored: both instants in microseconds.
func (e End) String() string { return fmt.Sprintf("%d %d", e.NotAfter, e.Until) }

// ParseEnd reads what String wrote; "" is the zero End.
func ParseEnd(text string) (End, error) {
	if text == "" {
		return End{}, nil
	}
	notAfter, until, _ := strings.Cut(text, " ")
	from, fromErr := strconv.ParseInt(notAfter, 10, 64)
	to, toErr := strconv.ParseInt(until, 10, 64)
	if fromErr != nil || toErr != nil || from < 0 || to < 0 {
		return End{}, fmt.Errorf("%w: a stored end cannot be read", ErrUnavailable) // I2
	}
	return End{Time(from), Time(to)}, nil
}

// EndName names the end of a session or of a user; "" names none.
type EndName string

// EndOfSession names the end of a session.
func EndOfSession(id ID) EndName { return EndName(id) }

// EndOfUser names the end of a user's logins. No session ID begins as it does.
func EndOfUser(userID string) EndName { return EndName("@" + userID) }

// Login is what a JWT says of the login that it is of, as far as ends refuse it.
type Login struct {
	// Session and User name the ends that count; "" none.
	Session, User EndName
	// Began is when the user authenticated, as far as the token tells.
	Began Time
	// Lifetime is how long after its beginning a login may still get tokens.
	Lifetime time.Duration
	// OIDC is the OIDC session at ZITADEL that the token is of, nil if it names none.
	OIDC *OIDCSession
}

// PartOf returns the login to the session that l, the login to an application, is part of.
func (l *Login) PartOf(t *Tied) Login {
	return Login{Session: t.End, Began: l.Began, Lifetime: l.Lifetime}
}

// Prolongs says whether an end that refuses a token of this login is to be kept for longer:
// in the last tenth of the login's lifetime.
func (l *Login) Prolongs(e End, now Time) bool {
	return e.Refuses(l.Began, now) && e.Until.Sub(now) < l.Lifetime/10
}
