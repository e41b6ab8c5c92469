package oidc

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/golang-jwt/jwt/v5"
)

// explained is an issuer with everything that an explanation is about.
const explained = `
issuers:
  - name: test
    issuer: ISSUER
    audience: [cloakroom, "401645770765241382"]
    algorithms: [RS256, ES256]
    claims: {permissions: "urn:zitadel:iam:org:project:roles"}
    permissions: {session-admin: {organizations: [session.read, session.delete]}}
    introspection: {url: ISSUER/introspect, client_id: "cloak:room", client_secret_file: SECRET, timeout: 5s}
    logout: {audience: ["401645772912790566"]}
    verify: VERIFY
`

// inspector is an Inspector of the fixture's issuer.
func (f *fixture) inspector(file string) *Inspector {
	in := Inspect(f.parse(file), f.clock)
	f.t.Cleanup(in.Close)
	return in
}

// zitadel are claims that a ZITADEL gave a token, as if it had done so now.
func (f *fixture) zitadel(kind string) map[string]any {
	f.t.Helper()
	text, err := os.ReadFile("testdata/zitadel-claims.json")
	if err != nil {
		f.t.Fatal(err)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(text, &all); err != nil || all[kind] == nil {
		f.t.Fatal(kind, err)
	}
	claims := all[kind]
	claims["iss"] = f.issuer.URL
	issued := claims["iat"].(float64)
	for _, name := range []string{"iat", "exp", "nbf", "auth_time"} {
		if at, ok := claims[name].(float64); ok {
			claims[name] = at - issued + float64(f.clock().Unix())
		}
	}
	return claims
}

func (e *Explanation) String() string {
	var b strings.Builder
	for _, l := range e.Lines {
		fmt.Fprintf(&b, "%d %s: %s\n", l.Verdict, l.Name, l.Text)
	}
	return b.String()
}

// says fails the test unless e has these lines: a verdict, a name and how the text begins.
func (e *Explanation) says(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains("\n"+e.String(), "\n"+want) {
			t.Errorf("it does not say %q:\n%s", want, e)
		}
	}
}

// hides fails the test if e has the token, a part of it or a whole value of the claims. (I6)
func (e *Explanation) hides(t *testing.T, token string, claims map[string]any) {
	t.Helper()
	text := e.String()
	secrets := strings.Split(token, ".")
	for name, value := range claims {
		if text, ok := value.(string); ok && !slices.Contains([]string{"iss", "aud", "typ", "client_id", "azp"}, name) {
			secrets = append(secrets, text)
		}
	}
	for _, s := range secrets {
		if len(s) > 3 && strings.Contains(text, s) {
			t.Errorf("I6: it shows %q:\n%s", s, text)
		}
	}
}

const (
	accessMode = "{}"
	idMode     = "{tokens: id, audience: [\"401645772912790566\"], claims: {organization: \"urn:zitadel:iam:user:resourceowner:id\"}}"
)

func TestI6_ExplainOfZITADELsTokens(t *testing.T) {
	f := newStopped(t, basic)
	for _, c := range []struct {
		kind, verify string
		says         []string
		taken        bool
	}{
		{"access", accessMode, []string{
			"0 token: a JWT of ", "0 iss: the issuer test", "0 alg: RS256", "0 kid: kid ", "0 signature: is by this key", "0 typ: JWT in the header",
			"0 aud: 401645770765241382 of audience, 401645772912790566 of logout.audience, and 3 others", "0 exp: 2050-01-02T15:04:05Z, in 12h0m0s", "0 kind: an access token\n",
			"0 user: sub is 4016… (18 characters), the user test:4016… (18 characters) here", "1 session: sid is not there", "1 login: auth_time is not there, so iat dates",
			"3 factors: amr and acr prove none", "0 permissions: session-admin in urn:zitadel:iam:org:project:roles: session.read for 1 organization, session.delete for 1 organization; 1 role that",
			"0 claims: aud client_id exp ", "0 caller: is taken: user test:4016… (18 characters); session.read for 1 organization", "0 verify: is taken until all logins of the user are ended; a logout",
		}, true},
		{"access", idMode, []string{"0 caller: is taken", "3 verify: is refused: at_hash, nonce, auth_time: it has none of them"}, true},
		{"access", "{session: required}", []string{"1 session: sid is not there", "3 verify: is refused: the claim of the session is missing"}, true},
		{"access", `{claims: {session: jti}, session_pattern: "^(V2_.+)-at_"}`, []string{"0 session: jti has V2_4… (21 characters), the session test:V2_4… (21 characters) here"}, true},
		{"access", `{claims: {session: jti}, session_pattern: "^(V1_.+)-at_"}`, []string{"2 session: jti does not match session_pattern", "2 verify: is refused: the claim of the session"}, false},
		{"id", accessMode, []string{"0 kind: an ID token: it has at_hash", "2 caller: is refused: at_hash, c_hash: it is an ID token", "2 verify: is refused: at_hash"}, false},
		{"id", idMode, []string{
			"3 caller: is refused: at_hash", "0 session: sid is 4016… (18 characters), the session test:4016… (18 characters) here", "0 login: auth_time: 2050-01-02T03:04:0", "0 factors: password",
			"0 organization: urn:zitadel:iam:user:resourceowner:id is 4016… (18 ", "0 verify: is taken until its session or all logins",
		}, true},
		{"id", strings.Replace(idMode, "{", "{session: required, ", 1), []string{"0 verify: is taken while the session test:4016… (18 characters) is stored here, too"}, true},
		{"logout", accessMode, []string{
			"0 kind: a logout token", "0 aud: 401645772912790566 of logout.audience", "0 session: sid is 4016…", "3 caller: is refused: aud", "3 verify: is refused: aud",
			"0 logout: is taken, once: it ends the session test:4016… (18 characters)",
		}, true},
		{"logout", `{claims: {session: jti}}`, []string{"3 session: logout.session is not configured", "0 logout: is taken, once: it ends all sessions and logins of the user test:4016…"}, true},
	} {
		in := f.inspector(strings.Replace(explained, "VERIFY", c.verify, 1))
		claims := f.zitadel(c.kind)
		token := f.issuer.Sign(claims)
		e := in.Explain(t.Context(), token)
		e.says(t, c.says...)
		e.hides(t, token, claims)
		if e.Taken != c.taken || !e.Good || e.Issuer != "test" {
			t.Errorf("%s, %s: %+v", c.kind, c.verify, e)
		}
		if c.kind == "id" && (!e.HasSession || !e.HasAuthTime || e.Lasts < 12*time.Hour || e.Lasts > 12*time.Hour+time.Minute) || c.kind == "access" && (e.HasAuthTime || e.Lasts != 12*time.Hour) {
			t.Errorf("%s, %s: %+v", c.kind, c.verify, e)
		}
	}
}

func TestExplain_EachClaim(t *testing.T) {
	f := newStopped(t, basic)
	in := f.inspector(strings.Replace(strings.Replace(explained, "VERIFY", "{claims: {organization: org}}", 1), `claims: {`, `claims: {agent: ua, `, 1))
	now := f.clock().Unix()
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    string
	}{
		{"expired", map[string]any{"exp": now - 60}, "2 exp: 2050-01-02T03:03:05Z, 1m0s ago: it has expired"},
		{"expired within leeway", map[string]any{"exp": now - 10}, "0 exp: 2050-01-02T03:03:55Z, 10s ago\n"},
		{"without exp", map[string]any{"exp": nil}, "3 exp: is not there"},
		{"exp is a text", map[string]any{"exp": "tomorrow"}, "2 exp: is no number"},
		{"exp is beyond all dates", map[string]any{"exp": 1e30}, "2 exp: is no number that is a date"},
		{"too early", map[string]any{"nbf": now + 60}, "2 nbf: 2050-01-02T03:05:05Z, in 1m0s: it is not good yet"},
		{"of the future", map[string]any{"iat": now + 60}, "2 iat: 2050-01-02T03:05:05Z, in 1m0s: it is of the future"},
		{"for another", map[string]any{"aud": []string{"secret-audience", "b"}}, "2 aud: has 2 names, and none that is configured for test"},
		{"for nobody", map[string]any{"aud": nil}, "2 aud: is not there"},
		{"bound", map[string]any{"cnf": map[string]any{"jkt": "x"}}, "2 cnf: is there"},
		{"no user", map[string]any{"sub": nil}, "2 user: sub is not there"},
		{"user is a number", map[string]any{"sub": 7}, "2 user: sub is no name"},
		{"short user", map[string]any{"sub": "7"}, "0 user: sub is … (1 character), the user test:… (1 character) here"},
		{"agent", map[string]any{"ua": "fingerprint"}, "0 agent: ua is fing… (11 characters)"},
		{"agent is a list", map[string]any{"ua": []string{}}, "1 agent: ua is no name"},
		{"no agent", nil, "3 agent: ua is not there"},
		{"long session", map[string]any{"sid": strings.Repeat("x", 500)}, "0 session: sid is xxxx… (500 characters), the session test:"},
		{"login is a text", map[string]any{"auth_time": "x"}, "2 login: auth_time is no number"},
		{"no date at all", map[string]any{"iat": nil}, "2 login: neither auth_time nor iat is there"},
		{"factors", map[string]any{"amr": []string{"pwd", "otp", "face"}, "acr": "hwk"}, "0 factors: password, webAuthN, totp\n"},
		{"organization", map[string]any{"org": "acme-inc"}, "0 organization: org is acme… (8 characters)"},
		{"organization is a number", map[string]any{"org": 3}, "1 organization: org is no name"},
		{"refresh token", map[string]any{"typ": "Refresh"}, "0 kind: the claim typ is Refresh: no access token"},
		{"perhaps an ID token", map[string]any{"nonce": "n"}, "0 kind: an access token, or an ID token: it has nonce"},
		{"roles as a list", map[string]any{"urn:zitadel:iam:org:project:roles": []string{"session-admin"}}, "0 permissions: session-admin in urn:zitadel:iam:org:project:roles: no permission"},
		{"other roles", map[string]any{"urn:zitadel:iam:org:project:roles": []string{"a", "b"}}, "3 permissions: none of the 2 roles in"},
		{"roles are a number", map[string]any{"urn:zitadel:iam:org:project:roles": 1}, "1 permissions: urn:zitadel:iam:org:project:roles is no text"},
		{"no roles", nil, "3 permissions: urn:zitadel:iam:org:project:roles is not there"},
		{"long names", map[string]any{strings.Repeat("n", 300): 1}, "0 claims: aud exp iat iss nbf " + strings.Repeat("n", 80) + "… sub\n"},
	} {
		claims := f.claims(c.changes)
		token := f.issuer.Sign(claims)
		e := in.Explain(t.Context(), token)
		if e.says(t, c.want); t.Failed() {
			t.Fatal(c.name)
		}
		e.hides(t, token, c.changes)
	}
	many := map[string]any{}
	for k := range 100 {
		many[fmt.Sprintf("zz%03d", k)] = 1
	}
	in.Explain(t.Context(), f.issuer.Sign(f.claims(many))).says(t, "0 claims: aud exp iat iss nbf sub zz000 ")
	if e := in.Explain(t.Context(), f.issuer.Sign(f.claims(many))); !strings.Contains(e.String(), " zz053 and 46 more\n") {
		t.Error(e)
	}
}

func TestExplain_HeaderAndSignature(t *testing.T) {
	f := newStopped(t, basic)
	in := f.inspector(strings.Replace(explained, "VERIFY", accessMode, 1))
	other := oidctest.NewKey(t, "RS256")
	f2 := func(name, token string, lines ...string) {
		t.Helper()
		e := in.Explain(t.Context(), token)
		e.says(t, lines...)
		e.hides(t, token, nil)
		if e.Good || e.Taken {
			t.Errorf("%s: it is good:\n%s", name, e)
		}
	}
	claims := f.claims(nil)
	header := func(name string, value any) func(map[string]any) {
		return func(h map[string]any) { h[name] = value }
	}
	f2("unknown key", other.Sign(t, claims), "2 kid: kid ", "3 signature: cannot be checked", "2 caller: is refused: kid: the issuer has no such key")
	f2("another's signature", other.Sign(t, claims, header("kid", jwtHeader(t, f.issuer.Sign(claims))["kid"])), "0 kid: kid ", "2 signature: is not by a key", "2 caller: is refused: the signature")
	f2("secret", oidctest.SignWith(t, jwt.SigningMethodHS256, []byte("secret"), claims), "2 alg: HS256 is none that is ever taken", "2 caller: is refused: the signature or its algorithm")
	f2("unsigned", oidctest.SignWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims), "2 alg: none is none that")
	es384 := oidctest.NewKey(t, "ES384")
	rs256 := oidctest.NewKey(t, "RS256")
	f.issuer.Rotate(rs256)
	f.issuer.Publish(es384, rs256)
	e := in.Explain(t.Context(), es384.Sign(t, claims))
	e.says(t, "2 alg: ES384 is not among algorithms: RS256, ES256", "0 kid: kid ", "0 signature: is by this key", "2 caller: is refused: the signature or its algorithm")
	e = in.Explain(t.Context(), f.issuer.Sign(claims, func(h map[string]any) { delete(h, "kid") }))
	e.says(t, "2 kid: without kid: the issuer has no such key")
	for value, want := range map[string]string{"at+jwt": "0 typ: at+jwt in", "secretjwt": "2 typ: secr… (9 characters) in the header"} {
		in.Explain(t.Context(), f.issuer.Sign(claims, header("typ", value))).says(t, want)
	}
	in.Explain(t.Context(), f.issuer.Sign(claims, header("typ", 1))).says(t, "2 typ: in the header is no text")
	in.Explain(t.Context(), f.issuer.Sign(claims, func(h map[string]any) { delete(h, "typ") })).says(t, "3 typ: the header has none", "0 caller: is taken")
	in.Explain(t.Context(), f.issuer.Sign(claims, header("crit", []string{"x"}))).says(t, "2 crit: ", "2 caller: is refused: crit")
	f.issuer.Stop()
	e = in.Explain(t.Context(), f.issuer.Sign(claims))
	e.says(t, "3 kid: kid ", "3 signature: cannot be checked without keys")
}

func jwtHeader(t *testing.T, token string) map[string]any {
	t.Helper()
	part, _, _ := strings.Cut(token, ".")
	header, err := decodeClaims(part)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func TestExplain_OthersTokens(t *testing.T) {
	f := newStopped(t, basic)
	in := f.inspector(strings.Replace(explained, "VERIFY", accessMode, 1))
	jwe := "eyJhbGciOiJkaXIifQ.." + strings.Repeat("A", 16) + ".ciphertext.tagtagtag"
	f2 := func(token string, lines ...string) *Explanation {
		t.Helper()
		e := in.Explain(t.Context(), token)
		e.says(t, lines...)
		e.hides(t, token, nil)
		return e
	}
	f2(jwe, "0 token: five parts, ", "3 active: test says that it is not", "2 result: good for nothing")
	f2("opaque-token", "0 token: 12 bytes, no JWT", "3 active: test", "3 verify: not as a JWT")
	f2("aaaa.bbbb.cccc", "1 token: three parts, 14 bytes, but no JWT: the header cannot be read, it is no JSON object")
	f2("a*aa.bbbb.cccc", "1 token: three parts, 14 bytes, but no JWT: the header cannot be read, it is no base64url")
	f2("e30.e3.cccc", "1 token: three parts, 11 bytes, but no JWT: the claims")
	f2(f.issuer.Sign(f.claims(map[string]any{"iss": "https://other.example"})), "2 iss: http… (21 characters) is no configured issuer: "+f.issuer.URL)
	f2(f.issuer.Sign(f.claims(map[string]any{"iss": f.issuer.URL + "/"})), "2 iss: differs from that of test only in a slash")
	f2(f.issuer.Sign(f.claims(map[string]any{"iss": nil})), "2 iss: is not there")
	f2(strings.Repeat("x", MaxTokenBytes+1), "2 token: has more than 16384 bytes")

	answer := f.zitadel("introspection")
	f.issuer.Opaque(jwe, answer)
	e := f2(jwe, "0 token: five parts", "0 active: test says so", "0 caller: is taken: user test:4016…", "0 permissions: session-admin in urn:", "1 session: sid is not there")
	e.hides(t, jwe, answer)
	if !e.Taken || !e.Good || e.Issuer != "test" {
		t.Errorf("%+v", e)
	}
	wrong := maps.Clone(answer)
	wrong["aud"] = "other"
	f.issuer.Opaque(jwe, wrong)
	f2(jwe, "2 aud: has 1 name, and none", "2 caller: is refused: aud")
	f.issuer.Stop()
	f2(jwe, "3 active: test gives no answer that counts")

	in = f.inspector(basic)
	f2(jwe, "3 caller: no issuer is asked")
}

// An explanation says the same as those who take tokens do.
func TestExplain_IsWhatIsDone(t *testing.T) {
	f := newFixture(t, basic)
	file := strings.Replace(explained, "VERIFY", accessMode, 1)
	f.Set(f.parse(file))
	in := f.inspector(file)
	for _, changes := range []map[string]any{nil, {"exp": 1}, {"aud": "x"}, {"at_hash": "x"}, {"cnf": map[string]any{}}, {"sub": ""}, {"sid": "s"}, {"iat": nil}, {"events": map[string]any{logoutEvent: map[string]any{}}}} {
		token := f.issuer.Sign(f.claims(changes))
		_, callerErr := f.JWT(t.Context(), []byte(token))
		_, verifyErr := f.Bearer(t.Context(), []byte(token), sha256.Sum256([]byte(token)))
		e := in.Explain(t.Context(), token)
		for name, err := range map[string]error{"caller": callerErr, "verify": verifyErr} {
			k := slices.IndexFunc(e.Lines, func(l Line) bool { return l.Name == name })
			if k < 0 || (err == nil) != (e.Lines[k].Verdict == Good) || err != nil && !strings.HasSuffix(e.Lines[k].Text, strings.TrimPrefix(err.Error(), "invalid token: ")) {
				t.Errorf("%v: %s: %v, but\n%s", changes, name, err, e)
			}
		}
	}
}
