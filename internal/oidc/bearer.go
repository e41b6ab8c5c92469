package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/golang-jwt/jwt/v5"
)

// Bearer is what a JWT says of who brings it to a gateway. It is immutable: callers share it.
type Bearer struct {
	// Issuer is the configured name of the issuer.
	Issuer string
	// Login is what may have ended.
	Login session.Login
	// Session is what the token says as if a session said it: IDs as they are here, that of the session
	// "" if the token names none; the factors that amr and acr prove; exp as the expiration date. It
	// has no document.
	Session session.Stored
	// Required says that the session must live in the store.
	Required bool
	// Claims are the values of Config.Claims, in their order, "" for those that are not there.
	Claims []string
}

// TokenHash is the SHA-256 of a token.
type TokenHash = tokenHash

// Bears says whether gateways may bring JWTs of some issuer.
func (v *Verifier) Bears() bool { return v.current.Load().bearers != nil }

// KnownBearer returns what is known of a token that Bearer has verified, with the token's hash,
// which Bearer takes; nil if nothing is known. It asks nobody.
func (v *Verifier) KnownBearer(token []byte, now session.Time) (*Bearer, TokenHash) {
	hash := tokenHash(sha256.Sum256(token))
	s := v.current.Load()
	if s.bearers == nil {
		return nil, hash
	}
	known, ok := s.bearers.GetIfPresent(hash)
	if !ok || now >= known.until || known.key.withdrawn.Load() {
		return nil, hash
	}
	return known.bearer, hash
}

// Bearer verifies a JWT of an issuer with verify, which a gateway brings. All others are
// ErrForeign. It keeps nothing of token but its hash. (I6)
func (v *Verifier) Bearer(ctx context.Context, token []byte, hash TokenHash) (*Bearer, error) {
	s := v.current.Load()
	if len(token) > MaxTokenBytes {
		return nil, ErrForeign
	}
	i := s.byURL[issuerOf(token)]
	if i == nil || i.verify == nil {
		return nil, ErrForeign
	}
	claims := jwt.MapClaims{}
	types := []string{"jwt", "at+jwt"}
	if i.verify.idTokens {
		types = types[:1]
	}
	key, err := i.check(ctx, i.bearers, string(token), claims, types...)
	if err != nil {
		return nil, i.refused(ctx, err)
	}
	now := session.TimeOf(v.clock())
	b, err := i.bearerOf(claims, now, v.claims)
	if err != nil {
		return nil, i.refused(ctx, genuine(err))
	}
	s.bearers.Set(hash, knownBearer{b, min(b.Session.Expiration.Add(i.leeway), now.Add(maxKnown)), key})
	return b, nil
}

// knownBearer is what is known of a token until an instant, unless its key is withdrawn.
type knownBearer struct {
	bearer *Bearer
	until  session.Time
	key    *publicKey
}

// weighBearer is about how many bytes a known token takes.
func weighBearer(_ tokenHash, k knownBearer) uint32 {
	b := k.bearer
	n := 640 + 2*len(b.Session.ID) + 2*len(b.Session.UserID) + len(b.Session.OrgID) + len(b.Session.Proof.LoginName)
	for _, c := range b.Claims {
		n += 16 + len(c)
	}
	if b.Login.OIDC != nil {
		n += 320 + len(b.Login.OIDC.ID) + len(b.Login.OIDC.User)
	}
	return uint32(n)
}

// bearerOf reads the claims of a token that is verified.
func (i *issuer) bearerOf(claims map[string]any, now session.Time, extra []NamedClaim) (*Bearer, error) {
	if err := i.checkBearerKind(claims); err != nil {
		return nil, err
	}
	proof := &session.Proof{Factors: i.verify.factorsIn(claims)}
	b := &Bearer{Issuer: i.Name, Required: i.verify.required, Session: session.Stored{Proof: proof}}
	as := &b.Session
	var err error
	if as.UserID, err = i.userOf(claims); err != nil {
		return nil, err
	}
	sid, err := i.sidOf(claims)
	switch {
	case err != nil:
		return nil, err
	case sid != "":
		as.ID = i.sessionID(sid)
	case b.Required:
		return nil, invalid("the claim of the session is missing, and session is required")
	}
	var ok bool
	if as.OrgID, ok = i.verify.organizationAt.text(claims); !ok && i.verify.organizationAt.find(claims) != "" {
		return nil, invalid("the claim of the organization is no name of one")
	}
	proof.LoginName, _ = i.verify.loginAt.find(claims).(string)
	if b.Login, proof.AuthTime, err = i.loginOf(claims, as.UserID, now); err != nil {
		return nil, err
	}
	if b.Login.Began == 0 {
		return nil, errNoLogin
	}
	if as.Expiration, ok = date(claims["exp"]); !ok {
		return nil, errNoDate
	}
	for _, c := range extra {
		b.Claims = append(b.Claims, claimText(c.At.find(claims)))
	}
	return b, nil
}

// loginOf returns the login that a token is of, and when the user authenticated, zero if it does not
// tell.
func (i *issuer) loginOf(claims map[string]any, userID string, now session.Time) (l session.Login, authenticated session.Time, err error) {
	issued, issuedOK := date(claims["iat"])
	authenticated, ok := date(i.verify.authTimeAt.find(claims))
	l = session.Login{User: session.EndOfUser(userID), Lifetime: i.lifetime, Began: authenticated}
	sid, err := i.sidOf(claims)
	if err != nil {
		return l, 0, err
	}
	if sid != "" {
		l.Session = session.EndOfSession(i.sessionID(sid))
		if strings.HasPrefix(sid, session.OIDCSessionPrefix) {
			sub, _ := claims["sub"].(string) // ZITADEL's own ID, whatever users are called here
			l.OIDC = &session.OIDCSession{ID: sid, User: sub, Named: i.sessionID}
		}
	}
	if l.Began == 0 { // a token that was refreshed has a later one then
		l.Began = issued
	}
	switch {
	case !ok || !issuedOK:
		err = errNoDate
	case authenticated > now.Add(i.leeway):
		err = &InvalidError{Reason: "auth_time: it is of the future", Later: true, Genuine: true}
	case authenticated != 0 && authenticated.Add(i.lifetime+i.leeway) <= now:
		// Ends are kept no longer, and a token that rested all the while prolongs none.
		err = &InvalidError{Reason: "auth_time: the login is older than session_max_lifetime", Expired: true, Genuine: true}
	}
	return l, authenticated, err
}

// sidOf returns the session that a token names, "" if the claim is missing or its pattern's group is
// empty. One that says something else is refused: no logout could end it.
func (i *issuer) sidOf(claims map[string]any) (string, error) {
	claim := i.verify.sessionAt.find(claims)
	sid, ok := claim.(string)
	switch {
	case claim != nil && !ok:
		return "", invalid("the claim of the session is no text")
	case sid == "" || i.sessionPattern == nil:
		return sid, nil
	}
	cut := i.sessionPattern.FindStringSubmatch(sid)
	if len(cut) != 2 {
		return "", invalid("the claim of the session does not match session_pattern")
	}
	return cut[1], nil
}

// checkBearerKind refuses tokens of another kind than gateways are to bring.
func (i *issuer) checkBearerKind(claims map[string]any) error {
	if err := checkNeverBearer(claims); err != nil {
		return err
	}
	kind, _ := claims["typ"].(string)
	if !i.verify.idTokens {
		return checkAccessKind(claims)
	}
	if kind != "" && kind != "ID" || claims["scope"] != nil || claims["scp"] != nil {
		return invalid("typ, scope: it is no ID token")
	}
	if kind == "" && claims["at_hash"] == nil && claims["c_hash"] == nil && claims["nonce"] == nil && claims["auth_time"] == nil {
		return invalid("at_hash, nonce, auth_time: it has none of them, so it is no ID token")
	}
	return nil
}

// date reads a date among claims: a number of seconds, zero if it is not there.
func date(claim any) (t session.Time, ok bool) {
	if claim == nil {
		return 0, true
	}
	seconds, ok := claim.(float64)
	if number, is := claim.(json.Number); is {
		var err error
		seconds, err = number.Float64()
		ok = err == nil
	}
	if !ok || seconds < 0 || seconds > float64(maxDate) {
		return 0, false
	}
	return session.Time(seconds * 1e6), true
}

// errNoLogin refuses a token that does not tell when its login began.
var errNoLogin = invalid("iat is missing")

// errNoDate refuses a date that is none, or later than any that is taken.
var errNoDate = invalid("a date is not a number, or is later than the year 9999")

// maxDate is the latest date that is taken, in seconds: the end of 9999.
const maxDate = 253402300799

// NamedClaim is a claim whose value answers to gateways have.
type NamedClaim struct {
	Name string
	At   path
}

// NamedClaimForm is how a NamedClaim is written.
const NamedClaimForm = "NAME, or NAME=PATH where the claim is called otherwise, as email or roles=realm_access.roles; a NAME has 1 to 64 letters, digits and dashes"

var claimName = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// ParseNamedClaim reads a claim in NamedClaimForm.
func ParseNamedClaim(text string) (NamedClaim, error) {
	name, at, is := strings.Cut(text, "=")
	if !is {
		at = name
	}
	p, err := parsePath(at)
	if err != nil || !claimName.MatchString(name) {
		return NamedClaim{}, errors.New("must be " + NamedClaimForm)
	}
	return NamedClaim{name, p}, nil
}

// claimText is the value of a claim as a text: a list of texts with commas between, which the
// texts then have none of, everything else as JSON.
func claimText(claim any) string {
	switch claim := claim.(type) {
	case nil:
		return ""
	case string:
		return claim
	case []any:
		list := texts(claim)
		if len(list) == len(claim) && !slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, ",") }) {
			return strings.Join(list, ",")
		}
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if e.Encode(claim) != nil {
		return "" // never: it was JSON
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// maxKnown bounds how long a token is known without its signature being looked at again,
// whatever its exp.
const maxKnown = 24 * time.Hour
