package scenario

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// createdPrefix begins the IDs of users that get new sessions. They are not
// those of the searches, whose five sessions stay five.
const createdPrefix = "9184808"

type create struct{ Config }

// newCreate creates sessions for random users.
func newCreate(c Config) load.Scenario { return create{c} }

func (s create) Client(_ int, r *rand.Rand) load.Client { return newCreator(s.Config, r) }

// creator creates sessions.
type creator struct {
	users       *zipf
	request     pattern
	fingerprint int // where the device's digits begin in the request
}

func newCreator(c Config, r *rand.Rand) *creator {
	body := `{"checks":{"user":{"userId":"` + createdPrefix + places(userDigits) + `"}},"metadata":{"client":"d2ViLXBvcnRhbA=="},` +
		`"userAgent":{"fingerprintId":"00000000000000000000000000000000","ip":"203.0.113.7","description":"Chrome 132, Windows",` +
		`"header":{"user-agent":{"values":["Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0"]}}},"lifetime":"3600s"}`
	request := c.withBody("POST", "/v2/sessions", body)
	return &creator{
		users:       newZipf(c.Data.Users(), c.Zipf, r),
		request:     newPattern(request),
		fingerprint: bytes.Index(request, []byte(`fingerprintId":"`)) + len(`fingerprintId":"`),
	}
}

func (c *creator) Next(b []byte) ([]byte, int) {
	user := spread(c.users.next(), c.users.n)
	c.request.put(user)
	putDigits(c.request.bytes[c.fingerprint:], user, 32)
	return append(b, c.request.bytes...), 201
}

func (c *creator) Check(a *load.Answer) error {
	_, _, err := CreatedSession(a.Body)
	return err
}

func (c *creator) Deep() func([]byte) error { return nil }
func (c *creator) Lost()                    {}

// CreatedSession takes the ID and the token from an answer to a create. The
// token must be the ID, a point and 43 characters.
func CreatedSession(body []byte) (id, token []byte, err error) {
	id, token = Field(body, `"sessionId":"`), Field(body, `"sessionToken":"`)
	if len(id) == 0 || len(token) != len(id)+1+43 || !bytes.HasPrefix(token, id) {
		return nil, nil, fmt.Errorf("no session ID, or no token of it, in %d bytes of an answer", len(body)) // the token is a secret
	}
	return id, token, nil
}

// Field returns what is between key and the next quote in body, nil if there is no
// key. It points into body.
func Field(body []byte, key string) []byte {
	_, rest, ok := bytes.Cut(body, []byte(key))
	if !ok {
		return nil
	}
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return value
}

type loginStorm struct{ Config }

// newLoginStorm creates a session, then sets its password factor and metadata,
// as a login in two steps does.
func newLoginStorm(c Config) load.Scenario { return loginStorm{c} }

func (s loginStorm) Client(_ int, r *rand.Rand) load.Client {
	return &login{Config: s.Config, creator: newCreator(s.Config, r)}
}

// login creates, sets, creates, sets.
type login struct {
	Config
	creator *creator
	id      []byte // of the session that is to be set; empty: create one
	setting bool
}

const setBody = `{"metadata":{"tenant":"bm9yZHdpbmQ=","step":"Mg=="}}`

func (l *login) Next(b []byte) ([]byte, int) {
	if l.setting = len(l.id) > 0; !l.setting {
		return l.creator.Next(b)
	}
	return fmt.Appendf(b, "%sContent-Length: %d\r\n\r\n%s", l.head("PATCH", "/v2/sessions/"+string(l.id)), len(setBody), setBody), 200
}

func (l *login) Check(a *load.Answer) error {
	if !l.setting {
		id, _, err := CreatedSession(a.Body)
		l.id = append(l.id[:0], id...)
		return err
	}
	token := Field(a.Body, `"sessionToken":"`)
	right := bytes.HasPrefix(token, l.id) && len(token) == len(l.id)+1+43 && bytes.Contains(a.Body, []byte(`"sequence":"`))
	id := string(l.id)
	l.id = l.id[:0]
	if !right {
		return fmt.Errorf("set of session %s: no new token", id)
	}
	return nil
}

func (l *login) Deep() func([]byte) error { return nil }

func (l *login) Lost() { l.id = l.id[:0] }
