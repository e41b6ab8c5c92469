package scenario

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/testserver"
)

// passed is the answer of a program that finds a token good.
func passed(t *testing.T, token []byte) *load.Answer {
	t.Helper()
	c, err := issuer.ClaimsOf(string(token))
	if err != nil {
		t.Fatal(err)
	}
	date := func(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }
	return &load.Answer{
		Head: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Session-Id: bench:%s\r\nX-Session-User: bench:%s\r\nContent-Length: 9\r\n\r\n", c.SessionID, c.Subject),
		Body: fmt.Appendf(nil, `{"active":true,"subject":"bench:%[2]s","sub":"bench:%[2]s","id":"bench:%[1]s","expires_at":"%[3]s","authenticated_at":"%[4]s",`+
			`"extra":{"session_id":"bench:%[1]s","login_name":"%[6]s","factors":["password","totp"],"exp":%[5]d}}`,
			c.SessionID, c.Subject, date(c.ExpiresAt.Unix()), date(c.AuthTime), c.ExpiresAt.Unix(), c.Username),
	}
}

func TestVerifyJWT_KnowsTheTruth(t *testing.T) {
	const tokens = 40
	config, dir := testConfig(), testserver.Issuer(t, tokens)
	var err, errCold error
	config.Live, err = issuer.ReadTokens(dir, "ES256", issuer.Live, 0)
	config.Cold, errCold = issuer.ReadTokens(dir, "ES256", issuer.Cold, 0)
	if err != nil || errCold != nil {
		t.Fatal(err, errCold)
	}
	for _, name := range []string{"verify-jwt", "verify-jwt-cold"} {
		s, err := New(name, config)
		if err != nil {
			t.Fatal(err)
		}
		c := s.Client(0, load.NewRand(1, 0))
		shown := map[string]bool{}
		for range tokens {
			request, want := c.Next(nil)
			token := c.(*jwtVerifier).current
			shown[string(token)] = true
			if want != 200 || !bytes.HasPrefix(request, fmt.Appendf(nil, "GET /verify HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer %s\r\n", token)) || !bytes.HasSuffix(request, []byte("\r\n\r\n")) {
				t.Fatalf("status %d: %s", want, request)
			}
			right := passed(t, token)
			if err := c.Check(right); err != nil {
				t.Fatal(err)
			}
			if err := c.Deep()(right.Body); err != nil {
				t.Fatal(err)
			}
			n := c.(*jwtVerifier).currentN
			for name, wrong := range map[string]*load.Answer{
				"another session":    {Head: bytes.Replace(right.Head, []byte(issuer.Session(n)), []byte(issuer.Session(n+1)), 1), Body: right.Body},
				"another user":       {Head: bytes.Replace(right.Head, []byte(issuer.User(n)), []byte(issuer.User(n+1)), 1), Body: right.Body},
				"no header":          {Head: []byte("HTTP/1.1 200 OK\r\n\r\n"), Body: right.Body},
				"not active":         {Head: right.Head, Body: bytes.Replace(right.Body, []byte("true"), []byte("false"), 1)},
				"a baseline's bytes": {Head: right.Head, Body: []byte(`{"pad":"xxx"}`)},
			} {
				if c.Check(wrong) == nil {
					t.Fatalf("%s is right", name)
				}
			}
			for _, part := range []string{`true`, issuer.User(n), issuer.Session(n), `"password",`, `visitor`, `Z","auth`, `Z","extra`, `"exp":`} {
				if c.Deep()(bytes.ReplaceAll(right.Body, []byte(part), []byte("0"))) == nil {
					t.Fatalf("an answer without %s is right", part)
				}
			}
		}
		cold, ok := s.(verifyColdJWT)
		if !ok {
			continue
		}
		if len(shown) != tokens || cold.Invalid() != "" {
			t.Errorf("%d of %d tokens, %q", len(shown), tokens, cold.Invalid())
		}
		c.Next(nil)
		if cold.Invalid() == "" {
			t.Error("a token was shown twice, and nothing is said")
		}
		if again, err := New(name, config); err != nil || again.(verifyColdJWT).Invalid() == "" {
			t.Error("in a later run a token is shown that an earlier one has shown, and nothing is said")
		}
	}
}
