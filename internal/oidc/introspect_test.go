package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

func (f *fixture) opaque(token string) (*Access, error) { return f.Opaque(f.t.Context(), token) }

// asked is how many questions the issuer was asked.
func (f *fixture) asked() int { return f.issuer.Count(oidctest.IntrospectPath) }

func TestOpaque(t *testing.T) {
	f := newFixture(t, asking)
	now := f.clock().Unix()
	for _, c := range []struct {
		name   string
		answer map[string]any
		want   string // "" is good
	}{
		{"only what is required", map[string]any{"active": true, "sub": "alice"}, ""},
		{"all of it", f.claims(map[string]any{"active": true, "token_type": "Bearer"}), ""},
		{"token type in small letters", map[string]any{"active": true, "sub": "alice", "token_type": "bearer"}, ""},
		{"not active", map[string]any{"active": false, "sub": "alice"}, "not active"},
		{"expired within the leeway", map[string]any{"active": true, "sub": "alice", "exp": now - 29}, ""},
		{"expired", map[string]any{"active": true, "sub": "alice", "exp": now - 30}, "exp"},
		{"valid later", map[string]any{"active": true, "sub": "alice", "nbf": now + 31}, "nbf"},
		{"issued later", map[string]any{"active": true, "sub": "alice", "iat": now + 31}, "iat"},
		{"a date that is a text", map[string]any{"active": true, "sub": "alice", "exp": "x"}, "date"},
		{"another issuer", map[string]any{"active": true, "sub": "alice", "iss": "https://elsewhere.example"}, "iss"},
		{"an issuer that is a list", map[string]any{"active": true, "sub": "alice", "iss": []string{f.issuer.URL}}, "iss"},
		{"another audience", map[string]any{"active": true, "sub": "alice", "aud": []string{"x", "y"}}, "aud"},
		{"an audience that is a number", map[string]any{"active": true, "sub": "alice", "aud": 1}, "aud"},
		{"no user", map[string]any{"active": true}, "user"},
		{"a refresh token", map[string]any{"active": true, "sub": "alice", "typ": "Refresh"}, "typ"},
		{"a token of another type", map[string]any{"active": true, "sub": "alice", "token_type": "DPoP"}, "token_type"},
		{"bound to a key", map[string]any{"active": true, "sub": "alice", "cnf": map[string]any{"jkt": "x"}}, "cnf"},
	} {
		token := strings.ReplaceAll(c.name, " ", "+") // has to be encoded
		f.issuer.Opaque(token, c.answer)
		for range 2 {
			a, err := f.opaque(token)
			switch {
			case c.want == "":
				f.good(a, err, "")
			case err == nil:
				t.Errorf("%s: is good", c.name)
			case !strings.Contains(err.Error(), c.want) && !strings.Contains(err.Error(), "a moment ago"):
				t.Errorf("%s: got %v, want a refusal that says %q", c.name, err, c.want)
			case c.name == "expired", c.name == "not active":
				f.ended(err)
			}
		}
	}
	_, err := f.opaque("unknown")
	f.refused(err, "not active")
	f.ended(err)
	_, err = f.opaque(strings.Repeat("x", MaxTokenBytes+1))
	f.refused(err, "more than")
}

// Without leave an answer has to say whom the token is for: it may have been
// made for another client.
func TestOpaque_Audience(t *testing.T) {
	f := newFixture(t, strings.Replace(asking, ", allow_no_audience: true", "", 1))
	f.issuer.Opaque("ours", map[string]any{"active": true, "sub": "alice", "aud": "cloakroom"})
	f.issuer.Opaque("anybodys", map[string]any{"active": true, "sub": "alice"})
	a, err := f.opaque("ours")
	f.good(a, err, "")
	_, err = f.opaque("anybodys")
	f.refused(err, "aud")
}

// An answer that cannot be relied on says nothing about the token, and is not
// remembered.
func TestI2_IntrospectionFails(t *testing.T) {
	f := newFixture(t, asking)
	f.issuer.Opaque("good", map[string]any{"active": true, "sub": "alice"})
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	for name, bad := range map[string]http.HandlerFunc{
		"garbage":         answer(200, "<html>active: true"),
		"no object":       answer(200, `true`),
		"null":            answer(200, `null`),
		"not said":        answer(200, `{"sub":"alice"}`),
		"said as a text":  answer(200, `{"active":"true","sub":"alice"}`),
		"too large":       answer(200, `{"active":true,"sub":"alice","x":"`+strings.Repeat("x", maxAnswerBytes)+`"}`),
		"an error":        answer(500, `{"active":true,"sub":"alice"}`),
		"another success": answer(202, `{"active":true,"sub":"alice"}`),
		"a redirect":      http.RedirectHandler("/", http.StatusTemporaryRedirect).ServeHTTP,
	} {
		f.issuer.Answer(oidctest.IntrospectPath, bad)
		if _, err := f.opaque("good"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	f.issuer.Answer(oidctest.IntrospectPath, nil)
	a, err := f.opaque("good")
	f.good(a, err, "")
	log := f.logs.String()
	if strings.Count(log, "does not answer") != 1 || strings.Contains(log, "answers again") { // that takes a while: TestOutage
		t.Errorf("the log is\n%s", log)
	}
}

func TestI2_WrongClientSecret(t *testing.T) {
	f := newStopped(t, asking)
	if err := os.WriteFile(f.secret, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Set(f.parse(asking))
	f.run()
	f.issuer.Opaque("good", map[string]any{"active": true, "sub": "alice"})
	if _, err := f.opaque("good"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if log := f.logs.String(); !strings.Contains(log, "client_secret_file") || strings.Contains(log, "wrong") {
		t.Errorf("the log is\n%s", log)
	}
}

// A slow issuer is given up after the time-out, and asked again.
func TestI2_SlowIntrospection(t *testing.T) {
	f := newFixture(t, strings.Replace(asking, "timeout: 5s", "timeout: 10ms", 1))
	f.issuer.Opaque("good", map[string]any{"active": true, "sub": "alice"})
	f.issuer.Stall()
	if _, err := f.opaque("good"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.issuer.Resume()
	f.Set(f.parse(asking))
	a, err := f.opaque("good")
	f.good(a, err, "")
	f.issuer.Stop()
	if _, err := f.opaque("another"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Callers with the same token share one question; too many with different ones
// are told that the issuer is unavailable.
func TestConcurrentQuestions(t *testing.T) {
	f := newFixture(t, asking)
	f.issuer.Opaque("good", map[string]any{"active": true, "sub": "alice"})
	f.issuer.Stall()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			a, err := f.opaque("good")
			f.good(a, err, "")
		})
	}
	f.issuer.WaitFor(oidctest.IntrospectPath, 1)
	for n := range maxQuestions - 1 {
		all.Go(func() {
			_, err := f.opaque(fmt.Sprint("bad-", n))
			f.refused(err, "not active")
		})
	}
	f.issuer.WaitFor(oidctest.IntrospectPath, maxQuestions)
	if _, err := f.opaque("one too many"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.issuer.Resume()
	all.Wait()
	if n := f.asked(); n != maxQuestions {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// Answers are kept for 30 seconds, not longer than the token lives, and
// refusals for 5.
func TestKnownAnswers(t *testing.T) {
	f := newFixture(t, asking)
	f.issuer.Opaque("long", map[string]any{"active": true, "sub": "alice"})
	f.issuer.Opaque("short", map[string]any{"active": true, "sub": "alice", "exp": f.clock().Unix() + 10})
	ask := func(token string, good bool, asked int) {
		t.Helper()
		if _, err := f.opaque(token); (err == nil) != good {
			t.Errorf("%s: got %v", token, err)
		}
		if got := f.asked(); got != asked {
			t.Errorf("%s: the issuer was asked %d times, want %d", token, got, asked)
		}
	}
	ask("long", true, 1)
	ask("short", true, 2)
	ask("bad", false, 3)
	ask("long", true, 3)
	ask("short", true, 3)
	ask("bad", false, 3)
	f.advance(refusedFor)
	ask("bad", false, 4)
	f.issuer.Opaque("long", map[string]any{"active": false})
	f.issuer.Opaque("short", map[string]any{"active": false})
	f.advance(10*time.Second - refusedFor - 1)
	ask("short", true, 4)
	f.advance(1)
	ask("short", false, 5)
	f.advance(knownFor - 10*time.Second - 1)
	ask("long", true, 5)
	f.advance(1)
	ask("long", false, 6)
}

// Issuers are asked in their order; one that is away leaves the question open
// unless another says that the token is good.
func TestSeveralIssuers(t *testing.T) {
	f := newFixture(t, asking)
	second := oidctest.Start(t)
	f.Set(f.parse(asking + strings.NewReplacer("issuers:\n", "", "ISSUER", second.URL, "name: test", "name: second").Replace(asking)))
	second.Opaque("good", map[string]any{"active": true, "sub": "bob"})
	a, err := f.opaque("good")
	if err != nil || a.Issuer != "second" || a.UserID != "bob" {
		t.Errorf("got %+v, %v", a, err)
	}
	f.issuer.Opaque("both", map[string]any{"active": true, "sub": "alice"})
	second.Opaque("both", map[string]any{"active": true, "sub": "bob"})
	a, err = f.opaque("both")
	f.good(a, err, "")
	f.issuer.Stop()
	second.Opaque("other", map[string]any{"active": true, "sub": "bob"})
	if a, err = f.opaque("other"); err != nil || a.UserID != "bob" {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err = f.opaque("bad"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// An issuer without keys is asked about its JWTs too.
func TestIssuerWithoutKeys(t *testing.T) {
	f := newStopped(t, asking+"    jwks_url: none\n")
	f.run()
	token := f.issuer.Sign(f.claims(nil))
	_, err := f.jwt(token)
	f.refused(err, "not active")
	f.advance(refusedFor)
	f.issuer.Opaque(token, f.claims(map[string]any{"active": true}))
	a, err := f.jwt(token)
	f.good(a, err, "")
	if n := f.issuer.Count(oidctest.DiscoveryPath) + f.issuer.Count(oidctest.KeysPath); n != 0 {
		t.Errorf("the issuer was asked for keys %d times", n)
	}
}

func TestNobodyIsAsked(t *testing.T) {
	f := newFixture(t, basic)
	_, err := f.opaque("x")
	f.refused(err, "nobody")
	if f.Asks() {
		t.Error("somebody is asked")
	}
}
