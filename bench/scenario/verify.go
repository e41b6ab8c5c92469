package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

type verifySteady struct{ Config }

// newVerifySteady asks, as a gateway does, whether the tokens of sessions are
// good, of some of them much more often than of others.
func newVerifySteady(c Config) load.Scenario { return verifySteady{c} }

func (s verifySteady) Client(_ int, r *rand.Rand) load.Client {
	id := verifyPrefix + places(sessionDigits)
	c := s.Config
	c.Key = id + "." + places(tokenDigits)
	request := newPattern(c.Get("/verify"))
	return &verifier{
		sessions: newZipf(s.VerifySessions, s.Zipf, r),
		request:  request,
		secret:   request.at + sessionDigits + len("."),
		id:       newPattern([]byte(`,"id":"` + id + `"`)),
		header:   newPattern([]byte("\r\nX-Session-User: " + verifyUserPrefix + places(userDigits) + "\r\n")),
	}
}

// verifier asks for verification.
type verifier struct {
	sessions *zipf
	request  pattern
	secret   int     // where the token's secret begins in the request
	id       pattern // as the answer's body must have it
	header   pattern // of the user, as gateways hand it on
	current  int

	idAt, headerAt place
}

func (v *verifier) Next(b []byte) ([]byte, int) {
	v.current = spread(v.sessions.next(), v.sessions.n)
	v.request.put(v.current)
	putDigits(v.request.bytes[v.secret:], v.current, tokenDigits)
	return append(b, v.request.bytes...), 200
}

var active = []byte(`{"active":true,`)

func (v *verifier) Check(a *load.Answer) error {
	v.id.put(v.current)
	v.header.put(v.current)
	switch {
	case !bytes.HasPrefix(a.Body, active) || v.idAt.find(a.Body, v.id.bytes) < 0:
		return fmt.Errorf("session %s is not what is good: %.200s", verifySession(v.current), a.Body)
	case v.headerAt.find(a.Head, v.header.bytes) < 0:
		return fmt.Errorf("session %s: no X-Session-User %s", verifySession(v.current), verifyUser(v.current))
	}
	return nil
}

func (v *verifier) Deep() func([]byte) error {
	i := v.current
	return func(body []byte) error {
		var got verifiedJSON
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		return got.isSession(i)
	}
}

func (v *verifier) Lost() {}

// verifiedJSON is the body of the answer to a verify that lets pass.
type verifiedJSON struct {
	Active           bool
	Subject, Sub, ID string
	ExpiresAt        string `json:"expires_at"`
	AuthenticatedAt  string `json:"authenticated_at"`
	Extra            struct {
		SessionID string `json:"session_id"`
		LoginName string `json:"login_name"`
		Factors   []string
		Exp       int64
	}
}

// proves says how g differs from an answer about a good session of a user, who has shown a password and a TOTP.
func (g *verifiedJSON) proves(id, user string) error {
	switch {
	case !g.Active:
		return errors.New("a good session, or its token, is not active")
	case g.ID != id || g.Extra.SessionID != id:
		return fmt.Errorf("sessions %s and %s instead of %s", g.ID, g.Extra.SessionID, id)
	case g.Subject != user || g.Sub != user:
		return fmt.Errorf("session %s of users %s and %s, not %s", id, g.Subject, g.Sub, user)
	case !slices.Equal(g.Extra.Factors, []string{"password", "totp"}):
		return fmt.Errorf("session %s with factors %v", id, g.Extra.Factors)
	}
	return nil
}

// isSession says how g differs from what session i proves.
func (g *verifiedJSON) isSession(i int) error {
	id, user := verifySession(i), verifyUser(i)
	verified := verifyCreated.Add(time.Duration(i)*time.Millisecond + 9*time.Second)
	if err := g.proves(id, user); err != nil {
		return err
	}
	switch {
	case g.Extra.Exp != verifyExpires.Unix():
		return fmt.Errorf("session %s ends at %d", id, g.Extra.Exp)
	}
	return errors.Join(sameDate(id, "expires_at", g.ExpiresAt, verifyExpires), sameDate(id, "authenticated_at", g.AuthenticatedAt, verified))
}
