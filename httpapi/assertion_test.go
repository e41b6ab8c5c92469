package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/cloakroom-dev/cloakroom/httpapi/assertion"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/golang-jwt/jwt/v5"
)

// asserting is a signer of assertions for the application shop, with keys of its own.
func asserting(t testing.TB, pem string) *assertion.Signer {
	t.Helper()
	s, err := assertion.New(assertion.Config{Audience: []string{"shop"}, Lifetime: 20 * time.Second}, assertionKeys(t, pem))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func assertionKeys(t testing.TB, pem string) *assertion.Keys {
	t.Helper()
	k, err := assertion.ParseKeys([]byte(pem))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// withAssertions has verify answer assertions.
func withAssertions(signer *assertion.Signer) func(*setup) {
	return func(s *setup) { s.config.Verify.Assertions = signer }
}

// asserted is an assertion that an application has checked.
type asserted struct {
	text, kid, jti string
	issued, until  int64
	says           map[string]any // the other claims
}

// application checks an answer that lets pass as an application does: with nothing but the published keys, its own name and the clock.
func (f *fixture) application(r reply) asserted {
	f.t.Helper()
	texts := r.header.Values("X-Session-Assertion")
	if r.status != http.StatusOK || len(texts) != 1 {
		f.t.Fatalf("%d: assertions %q", r.status, texts)
	}
	keys, err := keyfunc.NewJWKSetJSON(json.RawMessage(f.want(http.StatusOK, "", "GET", "/.well-known/jwks.json", "").body))
	if err != nil {
		f.t.Fatal(err)
	}
	says := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithTimeFunc(f.now().Std), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithAudience("shop"), jwt.WithIssuer("cloakroom")).
		ParseWithClaims(texts[0], says, keys.Keyfunc)
	if err != nil {
		f.t.Fatalf("%s: %v", texts[0], err)
	}
	if token.Header["typ"] != "session-assertion+jwt" {
		f.t.Errorf("typ is %v", token.Header["typ"])
	}
	a := asserted{text: texts[0], kid: token.Header["kid"].(string), jti: says["jti"].(string), issued: int64(says["iat"].(float64)), until: int64(says["exp"].(float64)), says: says}
	for _, name := range []string{"iss", "aud", "iat", "exp", "jti"} {
		delete(a.says, name)
	}
	return a
}

func (a *asserted) want(t *testing.T, want map[string]any) {
	t.Helper()
	if !reflect.DeepEqual(a.says, want) {
		t.Errorf("it says %v, want %v", a.says, want)
	}
}

func TestAssertion_Session(t *testing.T) {
	f := newFixture(t, withVerify, withAssertions(asserting(t, testfile.SigningKey(t))))
	id, token := f.login(`"user":{"id":"ålice","loginName":"Jörg","organizationId":"org-1"},"password":{},"totp":{"verifiedAt":"2049-01-01T00:00:00Z"}`, `,"lifetime":"3600s"`)
	now := f.now().Std().Unix()
	first := f.application(f.want(200, token, "GET", "/verify", "", "X-Session-Assertion", "of a client"))
	first.want(t, map[string]any{
		"sub": "ålice", "sid": id, "org_id": "org-1", "preferred_username": "Jörg", "factors": []any{"password", "totp"}, "auth_time": float64(now), "session_expiry": float64(now + 3600),
	})
	if first.issued != now || first.until != now+20 {
		t.Errorf("from %d until %d", first.issued-now, first.until-now)
	}
	// It is the same one for half of its time, wherever verify is asked; also HEAD has it.
	for _, path := range []string{"/verify", "/verify/p/lax", "/verify/x"} {
		if a := f.application(f.want(200, token, "GET", path, "")); a.text != first.text {
			t.Errorf("%s has another", path)
		}
	}
	if r := f.want(200, token, "HEAD", "/verify", ""); r.header.Get("X-Session-Assertion") != first.text {
		t.Error("HEAD has another")
	}
	f.advance(10*time.Second - time.Microsecond)
	if a := f.application(f.want(200, token, "GET", "/verify", "")); a.text != first.text {
		t.Error("it is not answered again")
	}
	f.advance(time.Microsecond)
	second := f.application(f.want(200, token, "GET", "/verify", ""))
	if second.jti == first.jti || second.until != now+30 || !reflect.DeepEqual(second.says, first.says) {
		t.Errorf("renewed: %v", second)
	}
	// A session that is set is asserted anew, at once.
	var set struct{ SessionToken string }
	r := f.want(200, "admin", "PATCH", "/v2/sessions/"+id, `{"factors":{"webAuthN":{}}}`)
	if err := json.Unmarshal([]byte(r.body), &set); err != nil {
		t.Fatal(err)
	}
	if r := f.want(401, token, "GET", "/verify", ""); r.header.Values("X-Session-Assertion") != nil {
		t.Error("a token of before has one")
	}
	third := f.application(f.want(200, set.SessionToken, "GET", "/verify", ""))
	if third.jti == second.jti || !reflect.DeepEqual(third.says["factors"], []any{"password", "webAuthN", "totp"}) {
		t.Errorf("after Set it says %v", third.says)
	}
	// None outlives the session, and a session that has ended has none.
	f.advance(3600*time.Second - 10*time.Second - 5*time.Second)
	if a := f.application(f.want(200, set.SessionToken, "GET", "/verify", "")); a.until != now+3600 || a.issued != now+3595 {
		t.Errorf("from %d until %d", a.issued-now, a.until-now)
	}
	f.advance(5 * time.Second)
	if r := f.want(401, set.SessionToken, "GET", "/verify", ""); r.header.Values("X-Session-Assertion") != nil {
		t.Error("a session that has ended has one")
	}
}

// Whatever is refused has none.
func TestAssertion_NoneForRefusals(t *testing.T) {
	audience := []string{"shop", strings.Repeat(`"`, assertion.MaxName)}
	for len(audience) < assertion.MaxAudience {
		audience = append(audience, strings.Repeat("a", assertion.MaxName))
	}
	signer, err := assertion.New(assertion.Config{Audience: audience}, assertionKeys(t, testfile.SigningKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, withVerify, withAssertions(signer))
	id, token := f.login(aliceVerified)
	_, unproven := f.login(aliceFactor)
	long, quotes := strings.Repeat("u", 200), strings.Repeat(`\"`, 200)
	_, tooLong := f.login(`"user":{"id":"` + quotes + `","organizationId":"` + quotes + `"},"password":{}`)
	f.application(f.want(200, token, "GET", "/verify", ""))
	none := func(status int, as, path string) {
		t.Helper()
		if r := f.want(status, as, "GET", path, ""); r.header.Values("X-Session-Assertion") != nil {
			t.Errorf("%d has an assertion", status)
		}
	}
	none(401, "", "/verify")
	none(401, "nobodys", "/verify")
	none(401, unproven, "/verify")
	none(403, token, "/verify/p/strict")
	none(403, token, "/verify/p/unknown")
	// One that would be too long is refused, and never cut.
	if r := f.do("", "GET", "/verify", "", "Authorization", "Bearer "+tooLong); r.status != 403 || reasonIn(r) != "predicate" {
		t.Errorf("got %d %s", r.status, reasonIn(r))
	}
	_, fits := f.login(`"user":{"id":"` + long + `","loginName":"` + strings.Repeat("😀", 200) + `","organizationId":"` + long + `"},"password":{}`)
	a := f.application(f.want(200, fits, "GET", "/verify", ""))
	if a.says["sub"] != long || a.says["org_id"] != long || !reflect.DeepEqual(a.says["omitted"], []any{"preferred_username"}) || len(a.text) > assertion.MaxBytes {
		t.Errorf("%d bytes: %v", len(a.text), a.says)
	}
	f.want(200, "admin", "DELETE", "/v2/sessions/"+id, "")
	none(401, token, "/verify")
	f.redis.Kill()
	none(503, fits, "/verify")
}

// Keys are published before they sign and afterwards; one that is gone is not.
func TestAssertion_Rotation(t *testing.T) {
	one, two := testfile.SigningKey(t), testfile.SigningKey(t)
	signer := asserting(t, one)
	f := newFixture(t, withVerify, withAssertions(signer))
	_, token := f.login(aliceVerified)
	published := func() (kids []string) {
		t.Helper()
		r := f.want(200, "", "GET", "/.well-known/jwks.json", "")
		if r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%v", r.header)
		}
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal([]byte(r.body), &set); err != nil {
			t.Fatal(err)
		}
		for _, key := range set.Keys {
			if names := slices.Sorted(maps.Keys(key)); !slices.Equal(names, []string{"alg", "crv", "kid", "kty", "use", "x"}) {
				t.Errorf("a key has %v", names)
			}
			kids = append(kids, key["kid"])
		}
		return kids
	}
	first := f.application(f.want(200, token, "GET", "/verify", ""))
	for _, c := range []struct {
		pem  string
		kids []string
	}{
		{one + two, []string{assertionKeys(t, one).ID(), assertionKeys(t, two).ID()}},
		{two + one, []string{assertionKeys(t, two).ID(), assertionKeys(t, one).ID()}},
		{two, []string{assertionKeys(t, two).ID()}},
	} {
		signer.SetKeys(assertionKeys(t, c.pem))
		if got := published(); !slices.Equal(got, c.kids) {
			t.Errorf("published are %v, want %v", got, c.kids)
		}
		// The one before is good for as long as its key is published.
		r := f.want(200, token, "GET", "/verify", "")
		if a := f.application(r); a.kid != c.kids[0] {
			t.Errorf("%s signs, want %s", a.kid, c.kids[0])
		}
		if slices.Contains(c.kids, first.kid) {
			r.header.Set("X-Session-Assertion", first.text)
			f.application(r)
		}
	}
	for _, method := range []string{"POST", "DELETE"} {
		f.want(405, "", method, "/.well-known/jwks.json", "")
	}
	if r := f.want(200, "", "HEAD", "/.well-known/jwks.json", ""); r.body != "" {
		t.Errorf("HEAD: %q", r.body)
	}
}

// JWTs of issuers have assertions too, that end with them and have the claims that are named.
func TestAssertion_JWTs(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*setup)) {
		f := newJWTFixture(t, "", change, withAssertions(asserting(t, testfile.SigningKey(t))))
		now := f.now().Std().Unix()
		token := f.token(map[string]any{"email": "ä@example.com", "realm_access": map[string]any{"roles": []string{"a", "b"}}, "exp": now + 15})
		f.good(token)
		a := f.application(f.good(token))
		a.want(t, map[string]any{
			"sub": "kc:alice", "sid": "kc:s1", "org_id": "org-1", "preferred_username": "alice@example.com", "factors": []any{"password"}, "auth_time": float64(now - 3600), "session_expiry": float64(now + 15),
			"claims": map[string]any{"email": "ä@example.com", "Roles": "a,b"},
		})
		if a.until != now+15 || a.text == token {
			t.Errorf("it ends after %d s", a.until-now)
		}
		if again := f.application(f.good(token)); again.text != a.text {
			t.Error("it is not answered again")
		}
		// A token without a session has none in its assertion.
		f.application(f.good(f.token(map[string]any{"sid": nil, "org": nil, "preferred_username": nil, "amr": nil, "auth_time": nil})))
		b := f.application(f.good(f.token(map[string]any{"sid": nil, "org": nil, "preferred_username": nil, "amr": nil, "auth_time": nil, "exp": now + 600})))
		b.want(t, map[string]any{"sub": "kc:alice", "session_expiry": float64(now + 600)})
		// Claims that do not fit are left out, and named.
		c := f.application(f.good(f.token(map[string]any{"email": strings.Repeat("e", 4000)})))
		if !reflect.DeepEqual(c.says["omitted"], []any{"preferred_username", "claims"}) || c.says["claims"] != nil || c.says["sid"] != "kc:s1" {
			t.Errorf("it says %v", c.says)
		}
		// An assertion is no token: neither verify nor the API takes it.
		f.verifies(a.text, 401, "not_found")
		f.want(401, a.text, "GET", "/v2/sessions/kc:s1", "")
		f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/kc:s1", "")
		if r := f.verifies(token, 401, "revoked"); r.header.Values("X-Session-Assertion") != nil {
			t.Error("a login that has ended has one")
		}
	})
}

// Where an issuer's tokens name the same issuer, key and audience, an assertion is of the wrong type all the same.
func TestAssertion_IsNoTokenOfAnIssuer(t *testing.T) {
	f := newJWTFixture(t, "")
	for typ, status := range map[string]int{"JWT": 200, "session-assertion+jwt": 401} {
		token := f.issuer.Sign(f.claims(f.issuer, map[string]any{"sid": "s1", "auth_time": f.now().Std().Unix()}), func(header map[string]any) { header["typ"] = typ })
		f.want(status, token, "GET", "/verify", "")
	}
}

// While Redis is away an assertion says that it may be wrong, and how old it is.
func TestAssertion_Stale(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withVerify, inEarnest, withNear, withAssertions(asserting(t, testfile.SigningKey(t))), func(s *setup) {
		s.store.StaleIfError, s.store.NearStaleness = time.Hour, 500*time.Millisecond
	})
	requests := nearRequests(f)
	_, token := f.login(aliceVerified, `,"lifetime":"600s"`)
	startNear(f, requests["Search"])
	for hits := f.store.NearStats().Sessions.Hits; f.store.NearStats().Sessions.Hits == hits; {
		f.want(200, token, "GET", "/verify", "")
	}
	fresh := f.application(f.want(200, token, "GET", "/verify", ""))
	f.proxy.Stall(true)
	defer f.proxy.Stall(false)
	r := f.want(200, token, "GET", "/verify", "")
	for r.header.Get("X-Session-Stale") == "" {
		r = f.want(200, token, "GET", "/verify", "")
	}
	a := f.application(r)
	age, is := a.says["stale"].(float64)
	if d, err := time.ParseDuration(r.header.Get("X-Session-Stale")); !is || err != nil || d.Seconds() != age {
		t.Errorf("it says %v, the header %s", a.says, r.header.Get("X-Session-Stale"))
	}
	if a.until > f.now().Std().Unix()+20 || a.jti == fresh.jti || fresh.says["stale"] != nil {
		t.Errorf("it lasts until %d: %v, before %v", a.until, a.says, fresh.says)
	}
}

// The verify-only listener has assertions, and no keys: every path there is verify.
func TestAssertion_VerifyListener(t *testing.T) {
	f := newFixture(t, withVerify, withAssertions(asserting(t, testfile.SigningKey(t))))
	_, token := f.login(aliceVerified)
	addr := f.verifyListener("unix", filepath.Join(t.TempDir(), "v"))
	for request, status := range map[string]int{
		"POST /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\nX-Session-Assertion: a\r\n\r\n": 200,
		"GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n":                                               401,
	} {
		res, body := rawExchange(t, addr, request)
		if res.StatusCode != status || status != 200 && res.Header.Values("X-Session-Assertion") != nil {
			t.Errorf("got %d %s, want %d", res.StatusCode, body, status)
		} else if status == 200 {
			f.application(reply{status: res.StatusCode, header: res.Header, body: body})
		}
	}
}

// Unless it is switched on there is no trace of it.
func TestAssertion_Off(t *testing.T) {
	f := newFixture(t, withVerify)
	_, token := f.login(aliceVerified)
	if r := f.want(200, token, "GET", "/verify", "", "X-Session-Assertion", "mine"); r.header.Values("X-Session-Assertion") != nil {
		t.Error("there is an assertion")
	}
	if r, other := f.want(404, "", "GET", "/.well-known/jwks.json", ""), f.want(404, "", "GET", "/nowhere", ""); r.body != other.body || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s, %v", r.body, r.header)
	}
}

// assertedVerify is a verify that the near cache answers, with an assertion.
func assertedVerify(f *fixture) func() {
	requests := nearRequests(f)
	startNear(f, requests["Search"])
	return requests["Verify"]
}

// An assertion that is answered again takes no memory.
func TestNearHit_AllocationsWithAssertions(t *testing.T) {
	f := newFixture(t, withNear, withAssertions(asserting(t, testfile.SigningKey(t))))
	request := assertedVerify(f)
	if got := testing.AllocsPerRun(1000, request); got > 1 && !raceEnabled {
		t.Errorf("it allocates %v times, want 1 at most", got)
	}
}

// The cost of assertions: of none, of one that is answered again, and of one that is made for each request.
func BenchmarkVerify_Assertion(b *testing.B) {
	for _, c := range []struct {
		name    string
		asserts bool
		older   time.Duration // each time
	}{{"none", false, 0}, {"answered again", true, 0}, {"made", true, 10 * time.Second}} {
		b.Run(c.name, func(b *testing.B) {
			f := newFixture(b, withNear, func(s *setup) {
				if c.asserts {
					s.config.Verify.Assertions = asserting(b, testfile.SigningKey(b))
				}
			})
			request := assertedVerify(f)
			b.ReportAllocs()
			for b.Loop() {
				f.advance(c.older)
				request()
			}
		})
	}
}
