package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// The sessions of verify-steady are not those of the dataset, and no search of
// another scenario finds them: other IDs, users, devices and creator, and dates
// before those of any dataset.
const (
	verifyPrefix     = "28826" // begins their IDs, followed by sessionDigits
	verifyUserPrefix = "3184808"
	verifyCreator    = "79629026806489000"
	tokenDigits      = 43
)

var (
	verifyCreated = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	verifyExpires = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// verifySession and verifyUser are the IDs of session i and its user, each of
// which has one. Their token is known before they are stored: the ID, a dot and
// i in 43 digits.
func verifySession(i int) string { return fmt.Sprintf("%s%0*d", verifyPrefix, sessionDigits, i) }
func verifyUser(i int) string    { return fmt.Sprintf("%s%0*d", verifyUserPrefix, userDigits, i) }
func verifyToken(i int) string   { return fmt.Sprintf("%s.%0*d", verifySession(i), tokenDigits, i) }

// appendVerifySession appends session i as a line for the import API.
func appendVerifySession(b []byte, i int) []byte {
	user, created := verifyUser(i), verifyCreated.Add(time.Duration(i)*time.Millisecond)
	verified := date(created.Add(9 * time.Second))
	b = fmt.Appendf(b, `{"id":"%s","creationDate":"%s","changeDate":"%s","sequence":"4",`, verifySession(i), date(created), verified)
	b = fmt.Appendf(b, `"factors":{"user":{"verifiedAt":"%s","id":"%s","loginName":"visitor%d@nordwind.example","displayName":"Visitor Number %d","organizationId":"281739955209961483"},`,
		date(created), user, i, i)
	b = fmt.Appendf(b, `"password":{"verifiedAt":"%s"},"totp":{"verifiedAt":"%s"}},"metadata":{"client":"d2ViLXBvcnRhbA==","tenant":"bm9yZHdpbmQ="},`, verified, verified)
	b = fmt.Appendf(b, `"userAgent":{"fingerprintId":"verify%026d","ip":"203.0.113.%d","description":"Chrome 132, Windows",`+
		`"header":{"user-agent":{"values":["Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0"]}}},`, i, i%250)
	return fmt.Appendf(b, `"expirationDate":"%s","creator":"%s","tokenSha256":"%x"}`+"\n", date(verifyExpires), verifyCreator, sha256.Sum256([]byte(verifyToken(i))))
}

// prepare asks for each session of a scenario that has its own, so that a near
// cache can have them, and stores them all before if one is not there.
func (s *source) prepare(ctx context.Context, scenario string) error {
	if scenario != "verify-steady" || !s.checking {
		return nil
	}
	err := s.verifyAll(ctx)
	if !errors.Is(err, errNotGood) {
		return err
	}
	n := s.config.verifySessions
	report, err := importLines(ctx, s.target, s.config.key, func(w io.Writer) error {
		return writeLines(ctx, w, n, appendVerifySession, func(int) {})
	})
	if err != nil {
		return err
	}
	if report.Stored != n {
		return fmt.Errorf("%d of %d sessions for verify are stored: %v", report.Stored, n, report.Errors)
	}
	return s.verifyAll(ctx)
}

// verifyAsks is over how many connections verifyAll asks.
const verifyAsks = 8

var errNotGood = errors.New("a session for verify is not good")

// verifyAll verifies each session once. It returns errNotGood if one is refused.
func (s *source) verifyAll(ctx context.Context) error {
	var asking sync.WaitGroup
	errs := make([]error, verifyAsks)
	for first := range errs {
		asking.Go(func() { errs[first] = s.verifyEach(ctx, first, verifyAsks) })
	}
	asking.Wait()
	return firstOf(errs...)
}

// verifyEach verifies each step-th session from the first. That the store is
// late with one does not matter here.
func (s *source) verifyEach(ctx context.Context, first, step int) error {
	c, err := newCaller(ctx, s.target, s.config)
	if err != nil {
		return err
	}
	defer c.close()
	for i := first; i < s.config.verifySessions; i += step {
		c.config.key = verifyToken(i)
		a, err := c.call("GET", "/verify", "")
		if err != nil {
			return err
		}
		if a.status != 200 && a.status != 503 {
			return fmt.Errorf("%w: %s, status %d: %.200s", errNotGood, verifySession(i), a.status, a.body)
		}
	}
	return nil
}

type verifySteady struct{ scenarioConfig }

// newVerifySteady asks, as a gateway does, whether the tokens of sessions are
// good, of some of them much more often than of others.
func newVerifySteady(c scenarioConfig) scenario { return verifySteady{c} }

func (s verifySteady) client(_ int, r *rand.Rand) client {
	id := verifyPrefix + places(sessionDigits)
	c := s.scenarioConfig
	c.key = id + "." + places(tokenDigits)
	request := newPattern(c.get("/verify"))
	return &verifier{
		sessions: newZipf(s.verifySessions, s.zipf, r),
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
}

func (v *verifier) next(b []byte) ([]byte, int) {
	v.current = spread(v.sessions.next(), v.sessions.n)
	v.request.put(v.current)
	putDigits(v.request.bytes[v.secret:], v.current, tokenDigits)
	return append(b, v.request.bytes...), 200
}

var active = []byte(`{"active":true,`)

func (v *verifier) check(a *answer) error {
	v.id.put(v.current)
	v.header.put(v.current)
	switch {
	case !bytes.HasPrefix(a.body, active) || !bytes.Contains(a.body, v.id.bytes):
		return fmt.Errorf("session %s is not what is good: %.200s", verifySession(v.current), a.body)
	case !bytes.Contains(a.head, v.header.bytes):
		return fmt.Errorf("session %s: no X-Session-User %s", verifySession(v.current), verifyUser(v.current))
	}
	return nil
}

func (v *verifier) deep() func([]byte) error {
	i := v.current
	return func(body []byte) error {
		var got verifiedJSON
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		return got.isSession(i)
	}
}

func (v *verifier) lost() {}

// verifiedJSON is the body of the answer to a verify that lets pass.
type verifiedJSON struct {
	Active           bool
	Subject, Sub, ID string
	ExpiresAt        string `json:"expires_at"`
	AuthenticatedAt  string `json:"authenticated_at"`
	Extra            struct {
		SessionID string `json:"session_id"`
		Factors   []string
		Exp       int64
	}
}

// isSession says how g differs from what session i proves.
func (g *verifiedJSON) isSession(i int) error {
	id, user := verifySession(i), verifyUser(i)
	verified := verifyCreated.Add(time.Duration(i)*time.Millisecond + 9*time.Second)
	switch {
	case !g.Active:
		return errors.New("a good session is not active")
	case g.ID != id || g.Extra.SessionID != id:
		return fmt.Errorf("sessions %s and %s instead of %s", g.ID, g.Extra.SessionID, id)
	case g.Subject != user || g.Sub != user:
		return fmt.Errorf("session %s of users %s and %s, not %s", id, g.Subject, g.Sub, user)
	case !slices.Equal(g.Extra.Factors, []string{"password", "totp"}):
		return fmt.Errorf("session %s with factors %v", id, g.Extra.Factors)
	case g.Extra.Exp != verifyExpires.Unix():
		return fmt.Errorf("session %s ends at %d", id, g.Extra.Exp)
	}
	return errors.Join(sameDate(id, "expires_at", g.ExpiresAt, verifyExpires), sameDate(id, "authenticated_at", g.AuthenticatedAt, verified))
}
