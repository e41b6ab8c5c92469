package issuer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Digits is how long the numbers are that the names of users and sessions end in.
const Digits = 12

// UserPrefix and SessionPrefix begin the names of its users and sessions; a number in Digits digits follows.
const (
	UserPrefix    = "3184809"
	SessionPrefix = "7d0c4d5e-8f21-4b6a-9c3e-"
)

// User is the sub of token n, Session its sid: each token has its own.
func User(n int) string { return fmt.Sprintf("%s%0*d", UserPrefix, Digits, n) }

// Session is the sid of token n.
func Session(n int) string { return fmt.Sprintf("%s%0*d", SessionPrefix, Digits, n) }

// Claims are what an access token says.
type Claims struct {
	jwt.RegisteredClaims
	Type      string              `json:"typ"`
	Azp       string              `json:"azp"`
	SessionID string              `json:"sid"`
	AuthTime  int64               `json:"auth_time"`
	Acr       string              `json:"acr"`
	Amr       []string            `json:"amr"`
	Origins   []string            `json:"allowed-origins"`
	Realm     roles               `json:"realm_access"`
	Resources map[string]roles    `json:"resource_access"`
	Scope     string              `json:"scope"`
	Username  string              `json:"preferred_username"`
	Email     string              `json:"email"`
	Verified  bool                `json:"email_verified"`
	Name      string              `json:"name"`
	Groups    map[string][]string `json:"groups"`
}

type roles struct {
	Roles []string `json:"roles"`
}

// loggedInBefore is how long before the token its user logged in.
const loggedInBefore = 90 * time.Second

// accessClaims are those of token n.
func (i *Issuer) accessClaims(n int, now time.Time, lifetime time.Duration) *Claims {
	return &Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: i.URL, Subject: User(n), Audience: jwt.ClaimStrings{audience, "orders", "billing", "search", "account"},
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)), IssuedAt: jwt.NewNumericDate(now), ID: fmt.Sprintf("onrtac:5c1e7b0a-3f4d-4a55-8d21-%0*d", Digits, n),
		},
		Type: "Bearer", Azp: "storefront", SessionID: Session(n), AuthTime: now.Add(-loggedInBefore).Unix(), Acr: "1", Amr: []string{"pwd", "otp"},
		Origins:   []string{"https://shop.nordwind.example"},
		Realm:     roles{[]string{"offline_access", "default-roles-main", "customer"}},
		Resources: map[string]roles{"orders": {[]string{"orders.read", "orders.write"}}, "account": {[]string{"manage-account", "view-profile"}}},
		Scope:     "openid profile email", Username: fmt.Sprintf("visitor%d@nordwind.example", n), Email: fmt.Sprintf("visitor%d@nordwind.example", n), Verified: true,
		Name: fmt.Sprintf("Visitor Number %d", n), Groups: map[string][]string{"281739955209961483": {"customers", "newsletter"}},
	}
}

// AccessToken signs an access token of user n in session n.
func (i *Issuer) AccessToken(algorithm string, n int, now time.Time, lifetime time.Duration) (string, error) {
	return i.sign(algorithm, "at+jwt", i.accessClaims(n, now, lifetime))
}

// LogoutToken signs a logout token for session n.
func (i *Issuer) LogoutToken(algorithm string, n int, now time.Time) (string, error) {
	return i.sign(algorithm, "logout+jwt", jwt.MapClaims{
		"iss": i.URL, "aud": gateway, "sub": User(n), "sid": Session(n), "jti": randomText(12), "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}

func (i *Issuer) sign(algorithm, kind string, claims jwt.Claims) (string, error) {
	t := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), claims)
	t.Header["typ"], t.Header["kid"] = kind, algorithm
	return t.SignedString(i.keys[algorithm].private)
}

// Parser checks access tokens as an ordinary program does.
func (i *Issuer) Parser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods(Algorithms), jwt.WithIssuer(i.URL), jwt.WithAudience(audience), jwt.WithExpirationRequired())
}

// Key is the keyfunc for Parser.
func (i *Issuer) Key(t *jwt.Token) (any, error) {
	k := i.keys[t.Method.Alg()]
	if k == nil || t.Header["kid"] != k.algorithm {
		return nil, errors.New("unknown key")
	}
	return k.private.Public(), nil
}

// ClaimsOf reads what a token says. It checks nothing.
func ClaimsOf(token string) (*Claims, error) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, ok := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || !ok {
		return nil, errors.Join(errors.New("not a JWT"), err)
	}
	c := new(Claims)
	return c, json.Unmarshal(text, c)
}
