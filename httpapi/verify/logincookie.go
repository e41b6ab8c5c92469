package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// maxLoginCookie is the length of the longest cookie of ZITADEL's login application that is read, as it is sent; browsers
	// keep 4 KiB of one.
	maxLoginCookie = 8 << 10
	// maxLoginSessions is how many sessions may be in one.
	maxLoginSessions = 32
)

// errNoLogin says that a cookie of the login application has no session in it.
var errNoLogin = errors.New("the cookie has no session")

// loginSession is a session in the cookie of ZITADEL's login application: what of it matters here.
type loginSession struct {
	ID, Token                          string
	ChangeTs, CreationTs, ExpirationTs millis
}

// millis is a date in milliseconds since 1970, as a text or a number; 0 where there is none that can be read.
type millis int64

// UnmarshalJSON fails for nothing: ZITADEL knows the dates, and these only choose.
func (m *millis) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(text, `"`)), 10, 64)
	if err == nil {
		*m = millis(n)
	}
	return nil
}

// loginPair returns the ID and the token in a credential that is the cookie of ZITADEL's login application: a list of sessions as JSON,
// percent-encoded or not. Of several it is the one that changed last, as that application itself takes, of those that have
// not expired by its dates. ok is false if the credential has another form, or these are not accepted.
func (s *Endpoint) loginPair(credential []byte) (id session.ID, token []byte, ok bool, err error) {
	if s.config.Accepts&AcceptLoginCookies == 0 || !bytes.HasPrefix(credential, []byte("[")) && !bytes.HasPrefix(bytes.ToUpper(credential[:min(len(credential), 3)]), []byte("%5B")) {
		return "", nil, false, nil
	}
	id, token, err = parseLoginCookie(credential, s.Store.Now())
	return id, token, true, err
}

// parseLoginCookie is loginPair at a time.
func parseLoginCookie(cookie []byte, now session.Time) (id session.ID, token []byte, err error) {
	if len(cookie) > maxLoginCookie {
		return "", nil, errMalformed
	}
	text, err := url.PathUnescape(string(cookie)) // I8
	if err != nil {
		return "", nil, errMalformed
	}
	var sessions []loginSession
	if json.Unmarshal([]byte(text), &sessions) != nil || len(sessions) > maxLoginSessions {
		return "", nil, errMalformed
	}
	if len(sessions) == 0 {
		return "", nil, errNoLogin
	}
	var chosen *loginSession
	err = errMalformed
	for i := range sessions {
		of := &sessions[i]
		if _, bad := session.ParseID(of.ID); bad != nil || of.Token == "" || len(of.Token) > maxTokenLen || !plainToken([]byte(of.Token)) {
			continue
		}
		if of.ExpirationTs != 0 && int64(of.ExpirationTs) <= now.Std().UnixMilli() {
			err = session.ErrExpired
			continue
		}
		if chosen == nil || of.ChangeTs > chosen.ChangeTs || of.ChangeTs == chosen.ChangeTs && of.CreationTs >= chosen.CreationTs {
			chosen = of
		}
	}
	if chosen == nil {
		return "", nil, err
	}
	return session.ID(chosen.ID), []byte(chosen.Token), nil
}
