package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// createdPrefix begins the IDs of users that get new sessions. They are not
// those of the searches, whose five sessions stay five.
const createdPrefix = "9184808"

type create struct{ scenarioConfig }

// newCreate creates sessions for random users.
func newCreate(c scenarioConfig) load.Scenario { return create{c} }

func (s create) Client(_ int, r *rand.Rand) load.Client { return newCreator(s.scenarioConfig, r) }

// creator creates sessions.
type creator struct {
	users       *zipf
	request     pattern
	fingerprint int // where the device's digits begin in the request
}

func newCreator(c scenarioConfig, r *rand.Rand) *creator {
	body := `{"checks":{"user":{"userId":"` + createdPrefix + places(userDigits) + `"}},"metadata":{"client":"d2ViLXBvcnRhbA=="},` +
		`"userAgent":{"fingerprintId":"00000000000000000000000000000000","ip":"203.0.113.7","description":"Chrome 132, Windows",` +
		`"header":{"user-agent":{"values":["Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0"]}}},"lifetime":"3600s"}`
	request := c.withBody("POST", "/v2/sessions", body)
	return &creator{
		users:       newZipf(c.data.users(), c.zipf, r),
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
	_, _, err := createdSession(a.Body)
	return err
}

func (c *creator) Deep() func([]byte) error { return nil }
func (c *creator) Lost()                    {}

// createdSession takes the ID and the token from an answer to a create. The
// token must be the ID, a point and 43 characters.
func createdSession(body []byte) (id, token []byte, err error) {
	id, token = field(body, `"sessionId":"`), field(body, `"sessionToken":"`)
	if len(id) == 0 || len(token) != len(id)+1+43 || !bytes.HasPrefix(token, id) {
		return nil, nil, fmt.Errorf("no session ID, or no token of it, in %d bytes of an answer", len(body)) // the token is a secret
	}
	return id, token, nil
}

// field returns what is between key and the next quote, nil if there is no key.
func field(body []byte, key string) []byte {
	_, rest, ok := bytes.Cut(body, []byte(key))
	if !ok {
		return nil
	}
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return value
}

type loginStorm struct{ scenarioConfig }

// newLoginStorm creates a session, then sets its password factor and metadata,
// as a login in two steps does.
func newLoginStorm(c scenarioConfig) load.Scenario { return loginStorm{c} }

func (s loginStorm) Client(_ int, r *rand.Rand) load.Client {
	return &login{scenarioConfig: s.scenarioConfig, creator: newCreator(s.scenarioConfig, r)}
}

// login creates, sets, creates, sets.
type login struct {
	scenarioConfig
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
		id, _, err := createdSession(a.Body)
		l.id = append(l.id[:0], id...)
		return err
	}
	token := field(a.Body, `"sessionToken":"`)
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
