package session

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// OIDCSessionPrefix begins the IDs of the OIDC sessions of ZITADEL.
const OIDCSessionPrefix = "V2_"

// OIDCSession is what ZITADEL calls so: the login of one application, which is part of a session. All tokens
// that are refreshed stay in it. Callers share it.
type OIDCSession struct {
	// ID begins with OIDCSessionPrefix.
	ID string
	// User is ZITADEL's ID of the user.
	User string
	// Named returns what the issuer's session with an ID is called in ends.
	Named func(sessionID string) ID

	tied         atomic.Pointer[Tied]
	refusedUntil atomic.Int64
}

// Tie says which session an OIDC session is part of. It never changes.
type Tie struct {
	// Session is the session's ID; "" if the session API has none: that of a machine, or of the first hosted login.
	Session ID
	// User is ZITADEL's ID of the user. No tie is without one.
	User string
}

// Tied is a Tie as it is remembered with a token.
type Tied struct {
	Tie
	// End names the end of the session; "" if there is none.
	End EndName
}

// Tied returns what Tie has set, nil before.
func (o *OIDCSession) Tied() *Tied { return o.tied.Load() }

// Tie remembers a tie.
func (o *OIDCSession) Tie(t Tie) *Tied {
	tied := &Tied{Tie: t}
	if t.Session != "" {
		tied.End = EndOfSession(o.Named(string(t.Session)))
	}
	o.tied.Store(tied)
	return tied
}

// Refuse remembers until an instant that the session has ended.
func (o *OIDCSession) Refuse(until Time) { o.refusedUntil.Store(int64(until)) }

// Refused says whether Refuse holds.
func (o *OIDCSession) Refused(now Time) bool { return now < Time(o.refusedUntil.Load()) }

// noSessionPrefix begins the IDs that the first hosted login gives to its sessions, which the session API does not know.
const noSessionPrefix = "V1_"

// NewTie returns the tie to a session by the words of ZITADEL: the ID that it calls the session's, and the
// user's. ok is false if these are no IDs.
func NewTie(sessionID, user string) (t Tie, ok bool) {
	t.User = user
	if sessionID != "" && !strings.HasPrefix(sessionID, noSessionPrefix) {
		id, err := ParseID(sessionID)
		if err != nil {
			return Tie{}, false
		}
		t.Session = id
	}
	if user == "" || len(user) > MaxNameLen {
		return Tie{}, false
	}
	return t, true
}

// String returns t as it is stored: the session's ID, a space, and the user's.
func (t Tie) String() string { return string(t.Session) + " " + t.User }

// ParseTie reads what String wrote.
func ParseTie(text string) (Tie, error) {
	id, user, found := strings.Cut(text, " ")
	t, ok := NewTie(id, user)
	if !found || !ok {
		return Tie{}, fmt.Errorf("%w: the stored tie of an OIDC session cannot be read", ErrUnavailable) // I2
	}
	return t, nil
}
