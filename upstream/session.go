package upstream

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// service2 begins the paths of the session service, in the Connect protocol. ZITADEL answers it as it
	// does REST (testdata/exchanges.jsonl), and so a session token stands in a body, and not in
	// a URL that is logged on the way. (I6)
	service2 = "/zitadel.session.v2.SessionService/"
	// maxSessionToken is the length of the longest session token, in characters: ZITADEL takes no other.
	maxSessionToken = 500
)

// Outcome is what ZITADEL says of a session.
type Outcome uint8

const (
	// Found: it is there, this caller may see it, and the token, if one was given, is its own.
	Found Outcome = iota + 1
	// NotFound: there is none, or its user may use none now: ZITADEL says the same of both.
	NotFound
	// TokenRefused: it is there, and has another token.
	TokenRefused
	// Denied: this caller must not see it, or its credentials are not good; the session may be there. ZITADEL
	// was also seen to say so when a question took too long, so it is no news to keep.
	Denied
)

// Session is ZITADEL's answer to the question for one session.
type Session struct {
	Outcome Outcome
	// Answer is the answer itself, in the Connect protocol's form; nil for a token that ZITADEL was not
	// asked about because it has none such.
	Answer *Answer
	// Sent is when ZITADEL was asked, no later.
	Sent time.Time

	// Raw is the session's JSON as ZITADEL wrote it, and Decoded what is known here of it: without members
	// that are not known, nil if it cannot be read at all. Both are for Found only.
	Raw     []byte
	Decoded *session.Session
	// Keepable says that Decoded is all of it, dates to the microsecond, and within our limits, so that it can be stored and
	// answered in its place. Else Why says why not, and repeats nothing of it.
	Keepable bool
	Why      string
}

// GetSession asks for a session: with its token, if that is not "", and as somebody. An error wraps
// ErrUnavailable, except that of an ID that is none, which is a *session.InvalidError. Whoever has many callers
// with one question lets them share its answer.
func (c *Client) GetSession(ctx context.Context, id session.ID, token string, as Authorization) (*Session, error) {
	if _, err := session.ParseID(string(id)); err != nil {
		return nil, err
	}
	if !plausible(token) {
		return &Session{Outcome: TokenRefused, Sent: time.Now()}, nil
	}
	body, err := json.Marshal(reference{id, token})
	if err != nil {
		return nil, &UnavailableError{Reason: "the question cannot be written"}
	}
	a, err := c.Call(ctx, c.connect("get", "GetSession", body, as, true))
	if err != nil {
		return nil, err
	}
	s, err := c.read(a, id, as)
	if err != nil {
		return nil, err
	}
	s.Answer, s.Sent = a, a.Sent
	return s, nil
}

// plausible says whether ZITADEL could have made a token; "" is none, which is fine.
func plausible(token string) bool {
	if len(token) > maxSessionToken {
		return false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return true
}

// reference names a session, in a request.
type reference struct {
	ID    session.ID `json:"sessionId"`
	Token string     `json:"sessionToken,omitempty"` // ZITADEL refuses an empty one
}

// connect is a request to the session service in the Connect protocol.
func (c *Client) connect(name, method string, body []byte, as Authorization, read bool) Request {
	return Request{
		Name: name, Method: http.MethodPost, Path: service2 + method, Body: body, As: as, Read: read,
		Header: http.Header{"Content-Type": {"application/json"}, "Connect-Protocol-Version": {"1"}},
	}
}

// The IDs of errors that are told apart.
const (
	idNoSession  = "QUERY-SFeaa"
	idWrongToken = "QUERY-dsfr3"
	// idNoMember begins the ID of a 404 that is said to users of whom nothing is known that lets them see others' sessions.
	idNoMember = "AUTH"
	// idMembership is that of users without any role.
	idMembership = "AUTHZ-cdgFk"
)

// read reads the answer to GetSession. What is not clearly one of the outcomes is ErrUnavailable. (I2)
func (c *Client) read(a *Answer, id session.ID, as Authorization) (*Session, error) {
	if a.Status == http.StatusOK {
		return c.found(a, id)
	}
	if after := a.pause(time.Now()); after > 0 {
		return nil, &RetryLaterError{After: after}
	}
	p, ok := a.problem()
	switch {
	case !ok:
	case a.Status == http.StatusNotFound && p.id == idNoSession:
		return &Session{Outcome: NotFound}, nil
	case a.Status == http.StatusForbidden && p.id == idWrongToken:
		return &Session{Outcome: TokenRefused}, nil
	case a.Status == http.StatusForbidden,
		a.Status == http.StatusNotFound && strings.HasPrefix(p.id, idNoMember),
		a.Status == http.StatusUnauthorized && !as.ours:
		return &Session{Outcome: Denied}, nil
	case a.Status == http.StatusUnauthorized:
		return nil, &UnavailableError{Reason: ReasonRefused}
	}
	return nil, &UnavailableError{Reason: statusReason(a.Status)}
}

// found reads a session that was found.
func (c *Client) found(a *Answer, id session.ID) (*Session, error) {
	var answer struct {
		Session json.RawMessage `json:"session"`
	}
	var named struct {
		ID session.ID `json:"id"`
	}
	if !a.isJSON() || json.Unmarshal(a.Body, &answer) != nil || json.Unmarshal(answer.Session, &named) != nil {
		return nil, &UnavailableError{Reason: "its answer is no session"}
	}
	if named.ID != id {
		return nil, &UnavailableError{Reason: "its answer is another session"}
	}
	decoded, why, text := decode(answer.Session, c.sessionBytes)
	if decoded != nil && decoded.ID != id {
		return nil, &UnavailableError{Reason: "its answer is another session"}
	}
	if why != "" {
		c.metrics.unkeepable.WithLabelValues(why).Inc()
	}
	return &Session{Outcome: Found, Raw: answer.Session, Decoded: decoded, Keepable: why == "", Why: text}, nil
}

// decode reads a session. why is "" if it can be kept; else that is why not, in a word for metrics
// and in text.
func decode(raw []byte, maxBytes int) (s *session.Session, why, text string) {
	s, err := session.ParseWhole(raw)
	if err != nil {
		if s, lenient := session.ParseDoc(raw); lenient == nil {
			return s, "unknown", err.Error()
		}
		return nil, "unreadable", err.Error()
	}
	if err := s.Validate(maxBytes); err != nil {
		return s, "limits", err.Error()
	}
	if s.CreationDate == 0 {
		return s, "unknown", "it has no creationDate"
	}
	return s, "", ""
}
