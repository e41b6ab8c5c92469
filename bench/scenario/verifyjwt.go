package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// ByJWT says whether a scenario shows JWTs, of Config.Live or Config.Cold.
func ByJWT(name string) bool { return name == "verify-jwt" || name == "verify-jwt-cold" }

// VerifyPath is the path that a gateway asks at.
const VerifyPath = "/verify"

type verifyJWT struct{ Config }

// newVerifyJWT asks, as a gateway does, whether JWTs are good, some of them much more often than others.
func newVerifyJWT(c Config) load.Scenario { return verifyJWT{c} }

func (s verifyJWT) Client(_ int, r *rand.Rand) load.Client {
	z := newZipf(s.Live.Len(), s.Zipf, r)
	return newJWTVerifier(s.Config, func() ([]byte, int) { return s.Live.At(spread(z.next(), s.Live.Len())) })
}

type verifyColdJWT struct{ Config }

// newVerifyColdJWT asks for each JWT once, so that nobody can know it.
func newVerifyColdJWT(c Config) load.Scenario { return verifyColdJWT{c} }

func (s verifyColdJWT) Client(int, *rand.Rand) load.Client {
	return newJWTVerifier(s.Config, s.Cold.Take)
}

// Invalid says whether tokens were shown twice, in this run or an earlier one.
func (s verifyColdJWT) Invalid() string {
	if n := s.Cold.Taken(); n > s.Cold.Len() {
		return fmt.Sprintf("%d requests with %d tokens: some were known; sign more, or measure for a shorter time", n, s.Cold.Len())
	}
	return ""
}

// jwtVerifier asks for verification of JWTs.
type jwtVerifier struct {
	pick         func() (token []byte, n int)
	before, rest []byte // of the request, before the token and behind it

	session, user     pattern // as the headers of the answer must have them
	sessionAt, userAt place
	current           []byte
	currentN          int
}

func newJWTVerifier(c Config, pick func() ([]byte, int)) *jwtVerifier {
	const here = "TOKEN"
	c.Key = here
	before, rest, _ := bytes.Cut(c.Get(VerifyPath), []byte(here))
	return &jwtVerifier{
		pick: pick, before: before, rest: rest,
		session: newPattern([]byte("\r\nX-Session-Id: " + issuer.Name + ":" + issuer.SessionPrefix + places(issuer.Digits) + "\r\n")),
		user:    newPattern([]byte("\r\nX-Session-User: " + issuer.Name + ":" + issuer.UserPrefix + places(issuer.Digits) + "\r\n")),
	}
}

func (v *jwtVerifier) Next(b []byte) ([]byte, int) {
	v.current, v.currentN = v.pick()
	return append(append(append(b, v.before...), v.current...), v.rest...), 200
}

func (v *jwtVerifier) Check(a *load.Answer) error {
	v.session.put(v.currentN)
	v.user.put(v.currentN)
	switch {
	case !bytes.HasPrefix(a.Body, active):
		return fmt.Errorf("token %d is not good: %.200s", v.currentN, a.Body)
	case v.sessionAt.find(a.Head, v.session.bytes) < 0:
		return fmt.Errorf("token %d: no X-Session-Id %s", v.currentN, issuer.Session(v.currentN))
	case v.userAt.find(a.Head, v.user.bytes) < 0:
		return fmt.Errorf("token %d: no X-Session-User %s", v.currentN, issuer.User(v.currentN))
	}
	return nil
}

func (v *jwtVerifier) Deep() func([]byte) error {
	token := v.current // it never changes
	return func(body []byte) error {
		claims, err := issuer.ClaimsOf(string(token))
		if err != nil {
			return err
		}
		var got verifiedJSON
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		return got.isOf(claims)
	}
}

func (v *jwtVerifier) Lost() {}

// isOf says how g differs from what a token says.
func (g *verifiedJSON) isOf(c *issuer.Claims) error {
	id, user := issuer.Name+":"+c.SessionID, issuer.Name+":"+c.Subject
	if err := g.proves(id, user); err != nil {
		return err
	}
	switch {
	case g.Extra.LoginName != c.Username:
		return fmt.Errorf("session %s with the login name %s", id, g.Extra.LoginName)
	case g.Extra.Exp != c.ExpiresAt.Unix():
		return fmt.Errorf("session %s ends at %d", id, g.Extra.Exp)
	}
	return errors.Join(sameDate(id, "expires_at", g.ExpiresAt, c.ExpiresAt.Time), sameDate(id, "authenticated_at", g.AuthenticatedAt, time.Unix(c.AuthTime, 0)))
}
