package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// A key that is not known is looked for at once; the one that it replaces goes.
func TestRotatedKeys(t *testing.T) {
	f := newFixture(t, basic)
	before := f.issuer.Sign(f.claims(map[string]any{"jti": "1"}))
	for n := range unknownBurst {
		f.issuer.Rotate(oidctest.NewKey(t, "RS256"))
		a, err := f.jwt(f.issuer.Sign(f.claims(nil)))
		f.good(a, err, "")
		if got := f.issuer.Count(oidctest.KeysPath); got != n+2 {
			t.Errorf("the keys were fetched %d times after %d rotations", got, n+1)
		}
	}
	_, err := f.jwt(before)
	f.refused(err, "kid")
	if n := f.issuer.Count(oidctest.DiscoveryPath); n != 1 {
		t.Errorf("the issuer was discovered %d times", n)
	}
	// More often than this nobody looks: then the next fetch finds it.
	f.issuer.Rotate(oidctest.NewKey(t, "RS256"))
	after := f.issuer.Sign(f.claims(nil))
	_, err = f.jwt(after)
	f.refused(err, "kid")
	f.wanted()
	a, err := f.jwt(after)
	f.good(a, err, "")
}

// A caller that always wants the keys does not keep it from being asked where they are.
func TestDiscoveredAgain(t *testing.T) {
	f := newFixture(t, basic)
	for n := range 3 {
		f.aged.Add(int64(keysEvery - time.Second))
		f.wanted()
		f.aged.Add(int64(time.Second))
		f.wanted()
		if got := f.issuer.Count(oidctest.DiscoveryPath); got != n+2 {
			t.Errorf("the issuer was discovered %d times in %d of the times after which it should be", got, n+2)
		}
	}
}

// A flood of made-up key IDs costs the issuer a few requests, and a caller who has a
// good token does not wait for it.
func TestUnknownKeyFlood(t *testing.T) {
	f := newFixture(t, basic)
	stranger := oidctest.NewKey(t, "RS256")
	tokens := make([]string, 400)
	for i := range tokens {
		tokens[i] = stranger.Sign(t, f.claims(nil), header("kid", fmt.Sprint("made-up-", i)))
	}
	good := f.issuer.Sign(f.claims(nil))
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; i < len(tokens); i += 8 {
				_, err := f.jwt(tokens[i])
				f.refused(err, "kid")
			}
		})
	}
	all.Go(func() {
		a, err := f.jwt(good)
		f.good(a, err, "")
	})
	all.Wait()
	if n := f.issuer.Count(oidctest.KeysPath); n > 1+unknownBurst {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// While the issuer does not answer, a token with an unknown key is not refused,
// and those with a known one are as good as before.
func TestI2_IssuerStalls(t *testing.T) {
	f := newFixture(t, basic)
	f.patient(unknownWait) // as in earnest
	f.issuer.Stall()
	unknown := oidctest.NewKey(t, "RS256").Sign(t, f.claims(nil))
	if _, err := f.jwt(unknown); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	a, err := f.jwt(f.issuer.Sign(f.claims(nil)))
	f.good(a, err, "")
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := f.JWT(ended, []byte(unknown)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.issuer.Resume()
	f.settled(2)
	_, err = f.jwt(unknown)
	f.refused(err, "kid")
}

// An issuer that is away at the start is waited for, and found when it comes.
func TestI2_IssuerAwayAtTheStart(t *testing.T) {
	f := newStopped(t, basic)
	f.issuer.Stop()
	f.run()
	f.settled(1)
	token := f.issuer.Sign(f.claims(nil))
	if _, err := f.jwt(token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.issuer.Restart()
	f.issuer.WaitFor(oidctest.KeysPath, 1)
	f.settled(2)
	a, err := f.jwt(token)
	f.good(a, err, "")
	f.logged("are fetched again")
	log := f.logs.String()
	if strings.Count(log, "cannot be fetched") != 1 || strings.Count(log, "are fetched again") != 1 {
		t.Errorf("the log is\n%s", log)
	}
}

// An issuer that goes away is done without, for an hour.
func TestI2_IssuerAwayLater(t *testing.T) {
	f := newFixture(t, basic)
	f.issuer.Stop()
	f.wanted()
	a, err := f.jwt(f.issuer.Sign(f.claims(nil)))
	f.good(a, err, "")
	unknown := oidctest.NewKey(t, "RS256").Sign(t, f.claims(nil))
	if _, err := f.jwt(unknown); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.aged.Add(int64(keysUsable - time.Minute))
	a, err = f.jwt(f.issuer.Sign(f.claims(map[string]any{"jti": "2"})))
	f.good(a, err, "")
	f.aged.Add(int64(time.Minute))
	if _, err := f.jwt(f.issuer.Sign(f.claims(map[string]any{"jti": "3"}))); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.issuer.Restart()
	f.wanted()
	a, err = f.jwt(f.issuer.Sign(f.claims(map[string]any{"jti": "4"})))
	f.good(a, err, "")
}

// An issuer that has withdrawn all its keys is not one that is away.
func TestAllKeysWithdrawn(t *testing.T) {
	f := newFixture(t, basic)
	token := f.issuer.Sign(f.claims(nil))
	f.issuer.Answer(oidctest.KeysPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) })
	f.wanted()
	if _, err := f.jwt(token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.issuer.Answer(oidctest.KeysPath, nil)
	f.wanted()
	a, err := f.jwt(token)
	f.good(a, err, "")
}

// Without Run there are no keys, and nobody waits for them for ever.
func TestI7_NothingRunsByItself(t *testing.T) {
	f := newStopped(t, basic)
	f.patient(unknownWait) // as in earnest
	if _, err := f.jwt(f.issuer.Sign(f.claims(nil))); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if n := f.issuer.Count(oidctest.DiscoveryPath); n != 0 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// What is not an answer of this issuer gives no keys.
func TestBadKeys(t *testing.T) {
	answer := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for _, c := range []struct {
		name, path string
		answer     http.HandlerFunc
		want       string // in the log; "" is good
	}{
		{"another issuer", oidctest.DiscoveryPath, answer(`{"issuer":"http://127.0.0.1:1","jwks_uri":"https://127.0.0.1:1/x"}`), "not the configured one"},
		{"keys over http", oidctest.DiscoveryPath, answer(`{"issuer":"ISSUER","jwks_uri":"http://keys.example/x"}`), "https"},
		{"keys in a file", oidctest.DiscoveryPath, answer(`{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`), "https"},
		{"no keys URL", oidctest.DiscoveryPath, answer(`{"issuer":"ISSUER"}`), "https"},
		{"no JSON", oidctest.DiscoveryPath, answer("<html>"), "not the JSON"},
		{"a redirect", oidctest.KeysPath, http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP, "redirect"},
		{"an error", oidctest.KeysPath, http.NotFound, "404"},
		{"no keys", oidctest.KeysPath, answer(`{"keys":[]}`), "no key"},
		{"a secret", oidctest.KeysPath, answer(`{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`), "no key"},
		{"a broken key", oidctest.KeysPath, answer(`{"keys":[{"kty":"RSA","kid":"a","n":"!"}]}`), "no key"},
		{"too many keys", oidctest.KeysPath, answer(`{"keys":[{}` + strings.Repeat(",{}", maxKeys) + `]}`), "more than 100"},
		{"too large", oidctest.KeysPath, answer(`{"keys":[]` + strings.Repeat(" ", maxAnswerBytes) + `}`), "more than"},
		{"cut off", oidctest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"keys":[]}`))
		}, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newStopped(t, basic)
			f.issuer.Answer(c.path, func(w http.ResponseWriter, r *http.Request) {
				c.answer(&replacing{w, f.issuer.URL}, r)
			})
			f.run()
			f.settled(1)
			if _, err := f.jwt(f.issuer.Sign(f.claims(nil))); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			f.logged(c.want)
		})
	}
}

// replacing writes the issuer's URL for ISSUER.
type replacing struct {
	http.ResponseWriter
	url string
}

func (r *replacing) Write(p []byte) (int, error) {
	_, err := r.ResponseWriter.Write([]byte(strings.ReplaceAll(string(p), "ISSUER", r.url)))
	return len(p), err
}

// A key that cannot be read, and one that is not for signatures, do not keep
// the others from being used.
func TestKeysBesideOthers(t *testing.T) {
	f := newStopped(t, basic)
	key := oidctest.NewKey(t, "RS256")
	f.issuer.Answer(oidctest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[{"kty":"new","kid":"n"},{"kty":"RSA","kid":"e","use":"enc","n":"AQAB","e":"AQAB"},` + key.JSON(t) + `]}`))
	})
	f.run()
	f.settled(1)
	a, err := f.jwt(key.Sign(t, f.claims(nil)))
	f.good(a, err, "")
}

// With several keys a token has to say which it is signed with.
func TestSeveralKeysNeedAnID(t *testing.T) {
	f := newStopped(t, basic)
	one, two := oidctest.NewKey(t, "RS256"), oidctest.NewKey(t, "RS256")
	f.issuer.Publish(one, two)
	f.run()
	f.settled(1)
	for _, k := range []*oidctest.Key{one, two} {
		a, err := f.jwt(k.Sign(t, f.claims(nil)))
		f.good(a, err, "")
		_, err = f.jwt(k.Sign(t, f.claims(nil), header("kid", nil)))
		f.refused(err, "kid")
	}
}

// New settings take the place of the old ones; an issuer that stays keeps its
// keys, one that is gone is not asked any more.
func TestSet(t *testing.T) {
	f := newFixture(t, basic)
	token := f.issuer.Sign(f.claims(nil))
	a, err := f.jwt(token)
	f.good(a, err, "")
	f.Set(f.parse(basic))
	a, err = f.jwt(token)
	f.good(a, err, "")
	if n := f.issuer.Count(oidctest.KeysPath); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	f.issuer.Stall()
	f.Set(f.parse(strings.Replace(basic, "cloakroom, other", "elsewhere", 1)))
	_, err = f.jwt(token)
	f.refused(err, "aud") // also what was known before, and without waiting for the keys
	f.issuer.Resume()
	f.settled(1)
	f.Set(nil)
	if _, err := f.jwt(token); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
	f.Set(f.parse(basic + "    jwks_url: ISSUER/keys\n"))
	f.settled(1)
	a, err = f.jwt(token)
	f.good(a, err, "")
	if n := f.issuer.Count(oidctest.DiscoveryPath); n != 2 {
		t.Errorf("the issuer was discovered %d times, also with jwks_url", n)
	}
}

// A key that changes under its name, or that has none, is found by the first signature that does not fit;
// what cannot be told is no reason to refuse a logout for good.
func TestKeyChangesUnderItsName(t *testing.T) {
	for _, named := range []bool{true, false} {
		f := newFixture(t, leaving)
		first, second := oidctest.NewKey(t, "RS256"), oidctest.NewKey(t, "RS256")
		second.ID = first.ID
		if !named {
			first.ID, second.ID = "", ""
		}
		sign := func(k *oidctest.Key) string {
			return k.Sign(t, f.logoutClaims(nil), func(h map[string]any) {
				if !named {
					delete(h, "kid")
				}
			})
		}
		f.issuer.Rotate(first)
		f.wanted()
		if _, err := f.Logout(t.Context(), sign(first)); err != nil {
			t.Fatal(err)
		}
		f.issuer.Rotate(second)
		if _, err := f.Logout(t.Context(), sign(second)); err != nil {
			t.Errorf("named %v: a logout by the new key: %v", named, err)
		}
		_, err := f.Logout(t.Context(), sign(first))
		if e, ok := errors.AsType[*InvalidError](err); !ok || e.Later {
			t.Errorf("named %v: a logout by the old key: %v", named, err)
		}
		f.issuer.Stop()
		_, err = f.Logout(t.Context(), sign(first))
		if e, ok := errors.AsType[*InvalidError](err); !errors.Is(err, ErrUnavailable) && (!ok || !e.Later) {
			t.Errorf("named %v: the issuer is away: %v", named, err)
		}
	}
}
