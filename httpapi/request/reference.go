package request

import (
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Reference names a session, and a token of it.
type Reference struct {
	// ID is the session ID in the body, "" if there is none; not checked.
	ID string
	// Token is the session token; Given says whether there is one.
	Token string
	Given bool
}

// DecodeReference reads a GetSessionRequest or a DeleteSessionRequest.
func DecodeReference(body []byte) (q Reference, err error) {
	err = protojson.Decode(body, func(r *protojson.Reader) error {
		return r.Object(func(name string) error {
			switch name {
			case "sessionToken":
				if q.Given = !r.Null(); q.Given {
					return r.String(&q.Token)
				}
			case "sessionId":
				return r.String(&q.ID)
			}
			return nil
		})
	})
	return q, err
}

// CheckGet says what is wrong with a GetSessionRequest.
func (q *Reference) CheckGet() error {
	if !nameLength(q.ID) {
		return NoID("GetSessionRequest")
	}
	if n := utf8.RuneCountInString(q.Token); q.Given && (n < 1 || n > maxSessionToken) {
		return invalid("GetSessionRequest", "SessionToken", "value length must be between 1 and 500 runes, inclusive")
	}
	return nil
}

// NoID is the error of a message whose session ID is missing, or too long.
func NoID(message string) error { return invalid(message, "SessionId", wrongLength) }

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
