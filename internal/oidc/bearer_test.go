package oidc

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/golang-jwt/jwt/v5"
)

// bearing is an issuer whose JWTs gateways bring. WITH is what else its section verify has.
const bearing = basic + `
    logout: {audience: [gateway]}
    verify: {WITH}
`

func bearingWith(with string) string { return strings.Replace(bearing, "WITH", with, 1) }

// bearer asks for a token as a gateway does, with what is known of it or not.
func (f *fixture) bearer(token string) (*Bearer, error) {
	b, hash := f.KnownBearer([]byte(token), session.TimeOf(f.clock()))
	if b != nil {
		return b, nil
	}
	return f.Bearer(f.t.Context(), []byte(token), hash)
}

// known says whether a token is known.
func (f *fixture) known(token string) bool {
	b, _ := f.KnownBearer([]byte(token), session.TimeOf(f.clock()))
	return b != nil
}

// takes checks one token: want is a part of the reason for which it is refused, "" if it is good.
func (f *fixture) takes(name, token, want string) *Bearer {
	f.t.Helper()
	b, err := f.bearer(token)
	e, refused := errors.AsType[*InvalidError](err)
	if want == "" && err != nil || want != "" && (!refused || !strings.Contains(e.Reason, want)) {
		f.t.Errorf("%s: got %v, want %q", name, err, want)
	}
	if err != nil && f.known(token) {
		f.t.Errorf("%s: a refused token is known", name)
	}
	return b
}

func TestBearer_Claims(t *testing.T) {
	for _, tokens := range []string{"access", "id"} {
		with := "tokens: access"
		id := map[string]any{}
		if tokens == "id" {
			with, id = "tokens: id, audience: [client]", map[string]any{"aud": "client", "at_hash": "x"}
		}
		f := newFixture(t, bearingWith(with))
		now := f.clock().Unix()
		both := func(access, id string) string { return map[string]string{"access": access, "id": id}[tokens] }
		for _, c := range []struct {
			name   string
			claims map[string]any
			header func(map[string]any)
			want   string
		}{
			{"plain", nil, nil, ""},
			{"at_hash", map[string]any{"at_hash": "x"}, nil, both("at_hash", "")},
			{"typ at+jwt", nil, header("typ", "at+jwt"), both("", "typ")},
			{"typ logout+jwt", nil, header("typ", "logout+jwt"), "typ"},
			{"Keycloak's access token", map[string]any{"typ": "Bearer"}, nil, both("", "no ID token")},
			{"Keycloak's ID token", map[string]any{"typ": "ID"}, nil, both("typ", "")},
			{"Keycloak's refresh token", map[string]any{"typ": "Refresh"}, nil, both("typ", "no ID token")},
			{"a scope", map[string]any{"scope": "openid"}, nil, both("", "no ID token")},
			{"nothing of an ID token", map[string]any{"at_hash": nil}, nil, both("", "no ID token")},
			{"a nonce alone", map[string]any{"at_hash": nil, "nonce": "n"}, nil, both("nonce", "")},
			{"a nonce with a scope", map[string]any{"at_hash": nil, "nonce": "n", "scope": "openid"}, nil, both("", "no ID token")},
			{"a nonce in Keycloak's access token", map[string]any{"nonce": "n", "typ": "Bearer"}, nil, both("", "no ID token")},
			{"a logout token", map[string]any{"events": map[string]any{oidctest.LogoutEvent: map[string]any{}}}, nil, "events"},
			{"bound to a key", map[string]any{"cnf": map[string]any{"x5t#S256": "x"}}, nil, "cnf"},
			{"another audience", map[string]any{"aud": "gateway"}, nil, "aud"},
			{"no audience", map[string]any{"aud": nil}, nil, "aud"},
			{"the other list", map[string]any{"aud": []string{"nobody", both("other", "client")}}, nil, ""},
			{"no exp", map[string]any{"exp": nil}, nil, "exp"},
			{"exp as a text", map[string]any{"exp": "soon"}, nil, "type"},
			{"exp within the leeway", map[string]any{"exp": now - 29}, nil, ""},
			{"exp beyond it", map[string]any{"exp": now - 30}, nil, "exp"},
			{"nbf within the leeway", map[string]any{"nbf": now + 30}, nil, ""},
			{"nbf beyond it", map[string]any{"nbf": now + 31}, nil, "nbf"},
			{"iat within the leeway", map[string]any{"iat": now + 30}, nil, ""},
			{"iat beyond it", map[string]any{"iat": now + 31}, nil, "iat"},
			{"auth_time within the leeway", map[string]any{"auth_time": now + 30}, nil, ""},
			{"auth_time beyond it", map[string]any{"auth_time": now + 31}, nil, "auth_time"},
			{"auth_time as a text", map[string]any{"auth_time": "1"}, nil, "date"},
			{"auth_time below zero", map[string]any{"auth_time": -1}, nil, "date"},
			{"auth_time out of all bounds", map[string]any{"auth_time": 1e300}, nil, "date"},
			{"neither auth_time nor iat", map[string]any{"iat": nil}, nil, "iat"},
			{"no user", map[string]any{"sub": nil}, nil, "user"},
			{"an empty user", map[string]any{"sub": ""}, nil, "user"},
			{"a user too long with the issuer's name", map[string]any{"sub": strings.Repeat("a", 196)}, nil, "user"},
			{"a longest user", map[string]any{"sub": strings.Repeat("a", 195)}, nil, ""},
			{"crit", nil, header("crit", []string{"b64"}), "crit"},
			{"a session that is a number", map[string]any{"sid": 7}, nil, "session"},
			{"a session that is a list", map[string]any{"sid": []string{"s"}}, nil, "session"},
			{"exp in milliseconds", map[string]any{"exp": (now + 100) * 1000}, nil, "9999"},
			{"nbf out of all bounds", map[string]any{"nbf": -1e300}, nil, "9999"},
			{"a login as old as logins can be", map[string]any{"auth_time": now - int64(defaultLifetime/time.Second) - 29}, nil, ""},
			{"a login that is older", map[string]any{"auth_time": now - int64(defaultLifetime/time.Second) - 30}, nil, "session_max_lifetime"},
			{"nested deeply", map[string]any{"x": nested(1000)}, nil, ""},
			{"large", map[string]any{"x": strings.Repeat("x", 11_000)}, nil, ""},
		} {
			claims := map[string]any{}
			for k, v := range id {
				claims[k] = v
			}
			for k, v := range c.claims {
				claims[k] = v
			}
			var changes []func(map[string]any)
			if c.header != nil {
				changes = append(changes, c.header)
			}
			f.takes(tokens+": "+c.name, f.issuer.Sign(f.claims(claims), changes...), c.want)
		}
		if _, err := f.bearer(f.issuer.Sign(f.claims(map[string]any{"x": strings.Repeat("x", MaxTokenBytes)}))); !errors.Is(err, ErrForeign) {
			t.Errorf("too long: %v", err)
		}
	}
}

// nested is a list in a list, n deep.
func nested(n int) any {
	var v any = "x"
	for range n {
		v = []any{v}
	}
	return v
}

// Nobody but the issuer signs: the tokens that attack a verifier of JWTs.
func TestBearer_Forged(t *testing.T) {
	f := newFixture(t, bearingWith(""))
	key := oidctest.NewKey(t, "RS256")
	f.issuer.Rotate(key)
	f.wanted()
	kid, claims := header("kid", key.ID), f.claims(nil)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	f.takes("none", oidctest.SignWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims, kid), "algorithm")
	for _, alg := range []string{"none", "None", "nOnE", "HS256"} {
		f.takes("alg "+alg+" over a good signature", f.issuer.Sign(claims, header("alg", alg)), "alg")
	}
	for name, secret := range map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": []byte(key.JSON(t)), "nothing": {},
	} {
		f.takes("HS256 with the public key as "+name, oidctest.SignWith(t, jwt.SigningMethodHS256, secret, claims, kid), "algorithm")
	}
	other := oidctest.NewKey(t, "RS256")
	f.takes("another key under this kid", other.Sign(t, claims, kid), "signature")
	for _, injected := range []any{"../../../../dev/null", "x' UNION SELECT 'a", "|cat /etc/passwd", strings.Repeat("k", 5000), "", 7, nil, []string{key.ID}, map[string]any{"kid": key.ID}} {
		changes := header("kid", injected)
		want := "kid"
		if injected == nil {
			want = "signature" // there is one key
		}
		f.takes(fmt.Sprintf("kid %.20v", injected), other.Sign(t, claims, changes), want)
	}
	// A key that the token brings along is not looked at.
	var jwk map[string]any
	if err := json.Unmarshal([]byte(other.JSON(t)), &jwk); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{"jwk": jwk, "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/x", "x5c": []string{"AAAA"}} {
		f.takes(name, other.Sign(t, claims, kid, header(name, value)), "signature")
	}
	good := f.issuer.Sign(claims)
	parts := strings.Split(good, ".")
	changed := strings.Split(f.issuer.Sign(f.claims(map[string]any{"sub": "mallory"})), ".")
	f.takes("the claims of another", parts[0]+"."+changed[1]+"."+parts[2], "signature")
	f.takes("no signature", parts[0]+"."+parts[1]+".", "signature")
	f.takes("another end of the signature", good[:len(good)-2]+"AA", "signature")
	f.takes("padded", good+"=", "malformed")
	for name, token := range map[string]string{"five parts": good + ".x.y", "two parts": parts[0] + "." + parts[1], "another issuer": f.issuer.Sign(f.claims(map[string]any{"iss": "https://elsewhere.example"}))} {
		if _, err := f.bearer(token); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two issuers with one sub and one sid are two users and two sessions, unless the second takes the
// names of the first: then its are not believed.
func TestBearer_TwoIssuers(t *testing.T) {
	second := oidctest.Start(t)
	file := func(a, b string) string {
		return strings.NewReplacer("WITHA", a, "WITHB", b, "SECOND", second.URL).Replace(`
issuers:
  - {name: a, issuer: ISSUER, audience: [cloakroom], verify: {WITHA}}
  - {name: b, issuer: SECOND, audience: [cloakroom], verify: {WITHB}}
`)
	}
	f := newFixture(t, file("", ""))
	second.WaitFor(oidctest.KeysPath, 1)
	of := func(issuer *oidctest.Issuer, sub, sid string) string {
		return issuer.Sign(f.claims(map[string]any{"iss": issuer.URL, "sub": sub, "sid": sid}))
	}
	check := func(token, user string, id session.ID) {
		t.Helper()
		b, err := f.bearer(token)
		if err != nil || b.Session.UserID != user || b.Session.ID != id || b.Login.User != session.EndOfUser(user) || b.Login.Session != session.EndOfSession(id) {
			t.Errorf("got %+v, %v, want %s, %s", b, err, user, id)
		}
	}
	check(of(f.issuer, "7", "s"), "a:7", "a:s")
	check(of(second, "7", "s"), "b:7", "b:s")
	check(of(f.issuer, "b:7", "b:s"), "a:b:7", "a:b:s")
	// A caller of the API is called the same.
	if a, err := f.jwt(of(second, "7", "s")); err != nil || a.UserID != "b:7" {
		t.Errorf("as a caller: %+v, %v", a, err)
	}
	// By another's key.
	if _, err := f.bearer(f.issuer.Sign(f.claims(map[string]any{"iss": second.URL}))); err == nil {
		t.Error("an issuer signs for another")
	}
	f.Set(f.parse(file("session_ids: own", "")))
	f.settled(1)
	second.WaitFor(oidctest.KeysPath, 2)
	check(of(f.issuer, "7", "s"), "7", "s")
	check(of(second, "7", "s"), "b:7", "b:s")
	f.takes("the user of another", of(f.issuer, "b:7", "s"), "user")
	b, err := f.bearer(of(f.issuer, "7", "b:s"))
	if err != nil || strings.HasPrefix(string(b.Session.ID), "b:") {
		t.Errorf("the session of another: %+v, %v", b, err)
	}
	for id, want := range map[session.ID]bool{"7": true, "b:7": true, "c:7": true} {
		if kept, ends := f.EndsFor(id); ends != want || kept != defaultLifetime {
			t.Errorf("EndsFor(%s): %v, %v", id, kept, ends)
		}
	}
}

// A token is known until it expires, and no longer than its key is published as it was.
func TestBearer_Known(t *testing.T) {
	f := newFixture(t, bearingWith(""))
	first := oidctest.NewKey(t, "ES256")
	f.issuer.Rotate(first)
	f.wanted()
	token := f.issuer.Sign(f.claims(nil))
	if f.known(token) {
		t.Error("a token is known that nobody has brought")
	}
	f.takes("first", token, "")
	// It goes on being known beside another key, and for longer than callers of the API.
	next := oidctest.NewKey(t, "EdDSA")
	f.issuer.Publish(first, next)
	f.wanted()
	f.advance(40 * time.Minute)
	if !f.known(token) {
		t.Error("the token is not known any more, though its key is published")
	}
	// The key is withdrawn.
	f.issuer.Publish(next)
	f.wanted()
	if f.known(token) {
		t.Error("the token is known, though its key was withdrawn")
	}
	f.takes("withdrawn", token, "kid")
	// Another key under the same ID.
	f.issuer.Publish(first)
	f.wanted()
	f.takes("published again", token, "")
	replaced := *oidctest.NewKey(t, "ES256")
	replaced.ID = first.ID
	f.issuer.Publish(&replaced)
	f.wanted()
	if f.known(token) {
		t.Error("the token is known, though its kid is another key's")
	}
	// Its time.
	f.issuer.Publish(first)
	f.wanted()
	f.takes("published again", token, "")
	f.advance(20*time.Minute + 29*time.Second)
	if !f.known(token) {
		t.Error("it is not known within the leeway")
	}
	f.advance(time.Second)
	if f.known(token) {
		t.Error("it is known, though it has expired")
	}
	f.takes("expired", token, "exp")
}

// While the issuer is away its keys count for an hour, and what they have signed is known as long.
func TestBearer_KeysGrowOld(t *testing.T) {
	f := newFixture(t, bearingWith(""))
	token := f.issuer.Sign(f.claims(map[string]any{"exp": f.clock().Unix() + 86_400}))
	f.takes("first", token, "")
	f.issuer.Stop()
	f.wanted()
	if !f.known(token) {
		t.Error("it is not known any more")
	}
	f.aged.Store(int64(61 * time.Minute))
	f.wanted()
	if f.known(token) {
		t.Error("it is known by keys that are too old")
	}
	if _, err := f.bearer(token); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Other settings begin with nothing known.
func TestBearer_OtherSettings(t *testing.T) {
	f := newFixture(t, bearingWith(""))
	token := f.issuer.Sign(f.claims(nil))
	f.takes("first", token, "")
	f.Set(f.parse(bearingWith("session: required")))
	if f.known(token) {
		t.Error("it is known by settings that are not in force any more")
	}
	f.takes("required", token, "session")
	f.Set(f.parse(basic))
	if f.Bears() || f.known(token) {
		t.Error("gateways bring JWTs though no issuer has verify")
	}
	if _, err := f.bearer(token); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
}

// Tokens of a real ZITADEL, signed anew.
func TestBearer_ZITADEL(t *testing.T) {
	text, err := os.ReadFile("testdata/zitadel.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]struct{ Header, Claims map[string]any }
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	const audience, organization = "401645772912790566", "urn:zitadel:iam:user:resourceowner:id"
	sign := func(f *fixture, kind string) string {
		claims := recorded[kind].Claims
		claims["iss"] = f.issuer.URL
		return f.issuer.Sign(claims, header("typ", recorded[kind].Header["typ"]))
	}
	file := func(with string) string {
		return `
issuers:
  - name: zitadel
    issuer: ISSUER
    audience: ["401645770765241382"]
    logout: {audience: ["` + audience + `"]}
    verify: {session_ids: own, claims: {organization: "` + organization + `"SESSION}, ` + with + `}
`
	}
	at := func(f *fixture, kind string) {
		f.now.Store(int64(time.Unix(int64(recorded[kind].Claims["iat"].(float64)), 0).Sub(start)))
	}
	f := newFixture(t, strings.Replace(file(`tokens: id, audience: ["`+audience+`"]`), "SESSION", "", 1))
	at(f, "id")
	b := f.takes("ID token", sign(f, "id"), "")
	password, _ := session.FactorNamed("password")
	if want := (session.Login{Session: "401645824502664230", User: "@401645773902580774", Began: 1795895572_000000, Lifetime: defaultLifetime}); b.Login != want {
		t.Errorf("got %+v, want %+v", b.Login, want)
	}
	if b.Session.OrgID != "401642991552367654" || b.Session.Proof.Factors != password || b.Session.Proof.AuthTime != 1795895572_000000 {
		t.Errorf("got %+v %+v", b.Session, b.Session.Proof)
	}
	f.takes("an access token in the place of an ID token", sign(f, "access"), "no ID token")
	at(f, "logout")
	l, err := f.Logout(t.Context(), sign(f, "logout"))
	if err != nil || l.SessionID != "401645964944739366" || l.UserID != "401645958552620070" || l.Issued != 1795895655_000000 || !l.Bears {
		t.Errorf("got %+v, %v", l, err)
	}

	f = newFixture(t, strings.Replace(file(`session_pattern: "^(V2_.+)-at_"`), "SESSION", ", session: jti", 1))
	at(f, "access")
	b = f.takes("access token", sign(f, "access"), "")
	login := b.Login
	login.OIDC = nil
	if want := (session.Login{Session: "V2_401645835575626790", User: "@401645773902580774", Began: 1795895573_000000, Lifetime: defaultLifetime}); login != want {
		t.Errorf("got %+v, want %+v", login, want)
	}
	if o := b.Login.OIDC; o == nil || o.ID != "V2_401645835575626790" || o.User != "401645773902580774" {
		t.Errorf("got the OIDC session %+v", o)
	}
	f.takes("an ID token in the place of an access token", sign(f, "id"), "at_hash")
	at(f, "logout")
	// Its sid is no session of access tokens, so a logout is one of all logins of the user.
	if l, err = f.Logout(t.Context(), sign(f, "logout")); err != nil || l.SessionID != "" || l.UserID != "401645958552620070" {
		t.Errorf("got %+v, %v", l, err)
	}
}

// A session goes by its own ID, or by its hash.
func TestBearer_SessionIDs(t *testing.T) {
	f := newFixture(t, bearingWith(`session_pattern: "^(?:x-)?([^.]*)"`))
	for sid, want := range map[string]string{
		"abc": "test:abc", "x-abc.def": "test:abc", "": "", ".abc": "",
		strings.Repeat("a", 123): "test:" + strings.Repeat("a", 123),
		strings.Repeat("a", 124): "test:" + hashOf(strings.Repeat("a", 124)),
		"a b":                    "test:" + hashOf("a b"),
		"ß":                      "test:" + hashOf("ß"),
	} {
		if b, err := f.bearer(f.issuer.Sign(f.claims(map[string]any{"sid": sid}))); err != nil || string(b.Session.ID) != want {
			t.Errorf("%q: got %+v, %v, want %q", sid, b, err, want)
		}
	}
}

func TestBearer_FactorsAndClaims(t *testing.T) {
	f := newFixture(t, bearingWith(`factors: {pwd: [password], "urn:example:gold": [password, webAuthN]}`))
	set := func(names ...string) (s session.FactorSet) {
		for _, name := range names {
			s |= factor(name)
		}
		return s
	}
	for _, c := range []struct {
		claims map[string]any
		want   session.FactorSet
	}{
		{nil, 0},
		{map[string]any{"amr": []string{"pwd", "otp"}}, set("password")},
		{map[string]any{"amr": "pwd"}, set("password")},
		{map[string]any{"acr": "urn:example:gold"}, set("password", "webAuthN")},
		{map[string]any{"acr": 1, "amr": []any{1, nil, "pwd"}}, set("password")},
		{map[string]any{"amr": map[string]any{"pwd": true}}, 0},
	} {
		if b, err := f.bearer(f.issuer.Sign(f.claims(c.claims))); err != nil || b.Session.Proof.Factors != c.want {
			t.Errorf("%v: got %+v, %v, want %v", c.claims, b, err, c.want)
		}
	}
	for claim, want := range map[string]string{
		`"a b"`: "a b", `7`: "7", `163840776835432705`: "163840776835432705", `1e3`: "1e3", `true`: "true", `null`: "",
		`["a","b"]`: "a,b", `["a,b","c"]`: `["a,b","c"]`, `["a",1]`: `["a",1]`, `[]`: "", `{"a":{"b":1}}`: `{"a":{"b":1}}`, `"<&>"`: "<&>", `{"a":"<"}`: `{"a":"<"}`,
	} {
		d := json.NewDecoder(strings.NewReader(claim))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if got := claimText(v); got != want {
			t.Errorf("%s: got %q, want %q", claim, got, want)
		}
	}
	for _, text := range []string{"", "=a", "a=", "a b", "ä", "a=b..c", strings.Repeat("a", 65), `a=b\c`} {
		if c, err := ParseNamedClaim(text); err == nil {
			t.Errorf("%q: got %+v", text, c)
		}
	}
}

func hashOf(sid string) string {
	sum := sha256.Sum256([]byte(sid))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A token that names an OIDC session of ZITADEL tells whose it is there, whatever users are called here.
func TestBearer_OIDCSession(t *testing.T) {
	f := newFixture(t, bearingWith(`claims: {session: jti}, session_pattern: "^(V2_.+)-at_|^(?:x-)?"`))
	names := func(jti any, want string) {
		t.Helper()
		b := f.takes("", f.issuer.Sign(f.claims(map[string]any{"jti": jti, "sub": "7"})), "")
		switch o := b.Login.OIDC; {
		case want == "" && o != nil:
			t.Errorf("it names %s", o.ID)
		case want != "" && (o == nil || o.ID != want || o.User != "7" || string(o.Named("1")) != strings.TrimSuffix(string(b.Session.ID), want)+"1"):
			t.Errorf("got %v, want %s", o, want)
		}
	}
	names("V2_12-at_34", "V2_12")
	names("x-V2_12", "")
	names(nil, "")
}
