package assertion

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

// now is no whole second.
var now = session.TimeOf(time.Date(2050, 1, 2, 3, 4, 5, 700_000_000, time.UTC))

func parse(t testing.TB, text string) *Keys {
	t.Helper()
	k, err := ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSigner(t testing.TB, c Config) *Signer {
	t.Helper()
	s, err := New(c, parse(t, testfile.SigningKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claimsOf checks an assertion as an application does, and returns its claims without those that
// are made anew for each, and these.
func claimsOf(t testing.TB, s *Signer, text []byte, at session.Time) (said map[string]any, issued, until float64, id string) {
	t.Helper()
	said = jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithTimeFunc(at.Std), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	token, err := parser.ParseWithClaims(string(text), jwt.MapClaims(said), func(*jwt.Token) (any, error) {
		return s.current.Load().keys.first.Public(), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if token.Header["typ"] != Type || token.Header["kid"] != s.Keys().ID() || len(token.Header) != 3 {
		t.Errorf("the header %v", token.Header)
	}
	issued, until, id = said["iat"].(float64), said["exp"].(float64), said["jti"].(string)
	delete(said, "iat")
	delete(said, "exp")
	delete(said, "jti")
	return said, issued, until, id
}

// The examples of RFC 8037, A.1 to A.4.
func TestKeys_RFC8037(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	k := parse(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	const x, kid = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
	want := `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `","kid":"` + kid + `","use":"sig","alg":"EdDSA"}]}`
	if got := string(k.Set()); got != want || k.ID() != kid {
		t.Errorf("got %s, %s", got, k.ID())
	}
	k.header = []byte(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA"}`)) + ".")
	const signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if got := string(k.sign(nil, []byte("Example of Ed25519 signing"))); got != signed {
		t.Errorf("got %s", got)
	}
}

// A file with a fault anywhere is refused whole, and nothing of it is repeated.
func TestI6_ParseKeysFaults(t *testing.T) {
	one, two := testfile.SigningKey(t), testfile.SigningKey(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	other := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	many := ""
	for range MaxKeys {
		many += testfile.SigningKey(t)
	}
	for want, text := range map[string]string{
		"no key in PEM":            "",
		"it has no key in PEM":     "marker",
		"broken, or not whole":     strings.Replace(one, "MC4C", "marker", 1) + two,
		"PEM block that is broken": one + two[:len(two)-20],
		"key 2 is there twice":     one + one,
		"key 1 is no Ed25519":      other,
		"key 2 is no Ed25519":      one + strings.ReplaceAll(two, "PRIVATE", "PUBLIC"),
		"key 1 is encrypted":       strings.ReplaceAll(one, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
		"it has more than 10 keys": many + one,
	} {
		k, err := ParseKeys([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v", want, k, err)
		} else if strings.Contains(err.Error(), "marker") || strings.Contains(err.Error(), "MC4C") {
			t.Errorf("%s: repeats the file: %v", want, err)
		}
	}
	if k := parse(t, "a comment\n"+one+"\n\n"+two); k.Len() != 2 || k.ID() != parse(t, one).ID() {
		t.Errorf("%d keys, %s signs", k.Len(), k.ID())
	}
	if k := parse(t, many); k.Len() != MaxKeys {
		t.Errorf("%d keys", k.Len())
	}
}

func TestConfigFaults(t *testing.T) {
	for want, c := range map[string]Config{
		"audience": {},
		"1 to 10":  {Audience: make([]string, 11)},
		"names":    {Audience: []string{strings.Repeat("a", 201)}},
		"1 to 200": {Audience: []string{"\xff"}},
		"JSON":     {Audience: slices.Repeat([]string{strings.Repeat(`"`, 200)}, 6)},
		"issuer":   {Audience: []string{"a"}, Issuer: strings.Repeat("ü", 101)},
		"lifetime": {Audience: []string{"a"}, Lifetime: time.Second},
		"to 1m0s":  {Audience: []string{"a"}, Lifetime: 61 * time.Second},
	} {
		if s, err := New(c, parse(t, testfile.SigningKey(t))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v", want, s, err)
		}
	}
	if s, err := New(Config{Audience: []string{"a"}}, nil); err == nil {
		t.Errorf("without keys: got %v", s)
	}
}

func TestOf(t *testing.T) {
	s := newSigner(t, Config{Audience: []string{"shop", `in"tranet`}, Issuer: "https://gate.example"})
	password, _ := session.FactorNamed("password")
	totp, _ := session.FactorNamed("totp")
	c := &Claims{
		Session: "s1", User: "ålice", Login: `Jörg "J"`, Org: "o1", Factors: password | totp, AuthTime: now.Add(-time.Hour), Expiration: now.Add(time.Hour), Stale: 2900 * time.Millisecond,
		Names: []string{"email", "none", "Roles"}, Values: []string{"ä@example.com", "", "a,b"},
	}
	text, ok := s.Of(c, now)
	if !ok {
		t.Fatal("there is none")
	}
	said, issued, until, id := claimsOf(t, s, text, now)
	base := float64(int64(now) / 1e6)
	want := map[string]any{
		"iss": "https://gate.example", "aud": []any{"shop", `in"tranet`}, "sub": "ålice", "sid": "s1", "org_id": "o1", "preferred_username": `Jörg "J"`,
		"factors": []any{"password", "totp"}, "auth_time": base - 3600, "session_expiry": base + 3600, "stale": 2., "claims": map[string]any{"email": "ä@example.com", "Roles": "a,b"},
	}
	if !reflect.DeepEqual(said, want) {
		t.Errorf("got  %v\nwant %v", said, want)
	}
	if random, err := base64.RawURLEncoding.DecodeString(id); issued != base || until != base+30 || err != nil || len(random) != idBytes {
		t.Errorf("iat %v, exp %v, jti %s", issued, until, id)
	}
	// Unknown values are left out.
	s = newSigner(t, Config{Audience: []string{"shop"}, Lifetime: time.Minute})
	text, _ = s.Of(&Claims{User: "u", Expiration: session.Never, Names: []string{"a"}, Values: []string{""}}, now)
	said, _, until, _ = claimsOf(t, s, text, now)
	if want := map[string]any{"iss": "cloakroom", "aud": "shop", "sub": "u"}; !reflect.DeepEqual(said, want) || until != base+60 {
		t.Errorf("got %v until %v, want %v", said, until, want)
	}
}

// No assertion lasts longer than its session. In a session's last second, and after it, it has
// expired already.
func TestOf_EndsWithTheSession(t *testing.T) {
	s := newSigner(t, Config{Audience: []string{"a"}})
	second := int64(now) / 1e6
	for left, want := range map[time.Duration]int64{
		time.Hour: second + 30, 30*time.Second + time.Millisecond: second + 30, 29 * time.Second: second + 29, 1400 * time.Millisecond: second + 2,
		200 * time.Millisecond: second, -20 * time.Second: second - 20,
	} {
		text, ok := s.Of(&Claims{User: "u", Expiration: now.Add(left)}, now)
		_, payload, _ := strings.Cut(string(text), ".")
		payload, _, _ = strings.Cut(payload, ".")
		plain, err := base64.RawURLEncoding.DecodeString(payload)
		var got struct{ Exp int64 }
		if err == nil {
			err = json.Unmarshal(plain, &got)
		}
		if !ok || err != nil || got.Exp != want || got.Exp*1e6 > int64(now.Add(left)) {
			t.Errorf("%v left: it ends at %d, want %d: %v", left, got.Exp-second, want-second, err)
		}
	}
}

// An assertion is answered again for the first half of its time, if it says the same.
func TestOf_Again(t *testing.T) {
	s := newSigner(t, Config{Audience: []string{"a"}, Lifetime: 20 * time.Second})
	c := Claims{User: "u", Session: "s", Expiration: now.Add(time.Hour)}
	at := func(c Claims, later time.Duration) string {
		t.Helper()
		text, ok := s.Of(&c, now.Add(later))
		if !ok {
			t.Fatal("there is none")
		}
		if _, _, until, _ := claimsOf(t, s, text, now.Add(later)); until < float64(now.Add(later+time.Second))/1e6 {
			t.Errorf("after %v it ends at once", later)
		}
		return string(text)
	}
	first := at(c, 0)
	const half = 9650 * time.Millisecond // of the 19.3 s that are left
	if at(c, half-time.Microsecond) != first {
		t.Error("it is not answered again")
	}
	other := c
	other.Login = "x"
	if at(other, 0) == first || at(c, 0) != first {
		t.Error("others share it")
	}
	second := at(c, half)
	if second == first || at(c, half) != second {
		t.Error("an old one is answered again")
	}
	if at(c, 0) == second {
		t.Error("one of the future is answered")
	}
	s.SetKeys(parse(t, testfile.SigningKey(t)))
	if at(c, 0) == first || at(c, half) == second {
		t.Error("one of another key is answered")
	}
	if allocations := testing.AllocsPerRun(100, func() { s.Of(&c, now) }); allocations > 0 {
		t.Errorf("one that is answered again takes %v allocations", allocations)
	}
}

// However long the texts are, an assertion is short and names user, session and organization,
// and names the claims that it leaves out; or there is none.
func TestOf_IsBounded(t *testing.T) {
	s := newSigner(t, Config{Audience: []string{"a"}})
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(rapid.SampledFrom([]string{"a", `"`, "ß", "\x01"}).Draw(t, "of"), rapid.IntRange(0, 1500).Draw(t, "length"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		c := Claims{
			User: "u" + text.Draw(rt, "user"), Session: session.ID(text.Draw(rt, "session")), Org: text.Draw(rt, "org"), Login: text.Draw(rt, "login"), Expiration: session.Never,
			Names: []string{"one", "two"}, Values: []string{text.Draw(rt, "one"), text.Draw(rt, "two")},
		}
		made, ok := s.Of(&c, now)
		least := c
		least.Login, least.Values = "", nil
		whole := len(c.append(bytes.Clone(s.begin), true))
		if !ok {
			if n := len(least.append(bytes.Clone(s.begin), true)); n+100 < maxClaims {
				rt.Fatalf("refused, with claims of %d bytes", n)
			}
			return
		}
		said, _, _, _ := claimsOf(t, s, made, now)
		if len(made) > MaxBytes || said["sub"] != c.User || (said["sid"] != string(c.Session)) != (c.Session == "") || (said["org_id"] != c.Org) != (c.Org == "") {
			rt.Fatalf("%d bytes: %v", len(made), said)
		}
		omitted, some := said["omitted"].([]any)
		if some != (whole > maxClaims) {
			rt.Fatalf("claims of %d bytes, left out %v", whole, omitted)
		}
		var want []any
		if some && c.Login != "" {
			want = append(want, "preferred_username")
		}
		if some && c.Values[0]+c.Values[1] != "" {
			want = append(want, "claims")
		}
		if some && !reflect.DeepEqual(omitted, want) || !some && c.Login != "" && said["preferred_username"] != c.Login {
			rt.Fatalf("left out %v, want %v: %v", omitted, want, said)
		}
	})
}

// How long an assertion takes: made anew, and answered again; and by a library that encodes a
// map of claims.
func BenchmarkOf(b *testing.B) {
	s := newSigner(b, Config{Audience: []string{"shop"}})
	password, _ := session.FactorNamed("password")
	c := &Claims{Session: "218480890961985795", User: "178204173316174382", Login: "user5@nordwind.example", Org: "281739955209961483", Factors: password, AuthTime: now, Expiration: session.MaxScore}
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Of(c, now)
		}
	})
	b.Run("anew", func(b *testing.B) {
		b.ReportAllocs()
		for at := now; b.Loop(); at = at.Add(DefaultLifetime) {
			s.Of(c, at)
		}
	})
	b.Run("golang-jwt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
				"iss": "cloakroom", "aud": "shop", "sub": c.User, "sid": c.Session, "org_id": c.Org, "preferred_username": c.Login, "factors": []string{"password"},
				"auth_time": 1, "session_expiry": 2, "iat": 3, "exp": 4, "jti": "AAAAAAAAAAAAAAAAAAAAAA",
			})
			token.Header["kid"], token.Header["typ"] = s.Keys().ID(), Type
			if _, err := token.SignedString(s.Keys().first); err != nil {
				b.Fatal(err)
			}
		}
	})
}
