package oidc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/golang-jwt/jwt/v5"
)

// JWT verifies an access token that is a JWT of a configured issuer. Others are
// ErrForeign, unless they are opaque tokens that were found good a moment ago.
// It keeps nothing of token.
func (v *Verifier) JWT(ctx context.Context, token []byte) (*Access, error) {
	s := v.current.Load()
	if len(s.list) == 0 || len(token) > MaxTokenBytes {
		return nil, ErrForeign
	}
	hash, now := tokenHash(sha256.Sum256(token)), v.clock()
	if a := s.known.get(hash, now); a != nil {
		return a, nil
	}
	i := s.byURL[issuerOf(token)]
	if i == nil {
		return nil, ErrForeign
	}
	if i.noKeys {
		return s.introspect(ctx, []*issuer{i}, string(token), hash, now)
	}
	if len(i.audience) == 0 {
		return nil, i.refused(ctx, invalid("aud: no audience is configured for callers of the API"))
	}
	claims := jwt.MapClaims{}
	if _, err := i.check(ctx, i.access, string(token), claims, "jwt", "at+jwt"); err != nil {
		return nil, i.refused(ctx, err)
	}
	a, err := i.accessOf(claims, false)
	if err != nil {
		return nil, i.refused(ctx, genuine(err))
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return nil, err
	}
	s.known.put(hash, a, now, expires.Time)
	return a, nil
}

// refused logs why, to help find a fault in the settings.
func (i *issuer) refused(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*InvalidError](err); ok {
		i.log.DebugContext(ctx, "a token was refused", "issuer", i.Name, "reason", e.Reason)
	}
	return err
}

// issuerOf returns the issuer that a JWT claims to be of, "" if token is no
// JWT. Nothing is verified: it only tells by whose keys to do that.
func issuerOf(token []byte) string {
	header, rest, ok := bytes.Cut(token, []byte("."))
	if !ok {
		return ""
	}
	payload, signature, ok := bytes.Cut(rest, []byte("."))
	if !ok || bytes.IndexByte(signature, '.') >= 0 {
		return ""
	}
	var head struct {
		Algorithm string `json:"alg"`
	}
	if !decodePart(header, &head) || head.Algorithm == "" {
		return ""
	}
	var body struct {
		Issuer string `json:"iss"`
	}
	if !decodePart(payload, &body) {
		return ""
	}
	return body.Issuer
}

// decodePart reads a part of a JWT.
func decodePart(part []byte, to any) bool {
	text := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, err := base64.RawURLEncoding.Strict().Decode(text, part)
	return err == nil && json.Unmarshal(text[:n], to) == nil
}

// check checks a JWT by a parser that knows what to ask for, reads its claims, and returns the key that
// has signed it. types are the values that typ in its header may have.
func (i *issuer) check(ctx context.Context, p *jwt.Parser, token string, claims jwt.MapClaims, types ...string) (key *publicKey, err error) {
	var header map[string]any
	parse := func() error {
		_, err := p.ParseWithClaims(token, claims, func(t *jwt.Token) (verifies any, err error) {
			header = t.Header
			if err := checkHeader(header, types); err != nil {
				return nil, err
			}
			verifies, key, err = i.keyOf(ctx, t)
			return verifies, err
		})
		return err
	}
	err, known := parse(), true
	if key != nil && errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		var changed bool
		if changed, known = i.keyChanged(ctx, header, key); changed {
			err = parse()
		}
	}
	if err != nil {
		err = reason(err)
		if e, ok := errors.AsType[*InvalidError](err); ok && !known {
			e.Later = true
		}
		// An issuer drops the keys of tokens that have expired: the signature of
		// one cannot be looked at.
		if e, ok := errors.AsType[*InvalidError](err); ok && i.over(claims) {
			return nil, &InvalidError{Reason: e.Reason, Expired: true}
		}
		return nil, err
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if _, ok := date(claims[name]); !ok {
			return nil, genuine(errNoDate)
		}
	}
	return key, nil
}

// algorithmOf returns the algorithm that a JWT claims to be signed with, "" if it is none.
func algorithmOf(token string) string {
	header, _, _ := strings.Cut(token, ".")
	var head struct {
		Algorithm string `json:"alg"`
	}
	if !decodePart([]byte(header), &head) {
		return ""
	}
	return head.Algorithm
}

// over says whether the time of a token is over by its own exp.
func (i *issuer) over(claims jwt.MapClaims) bool {
	expires, err := instant(claims.GetExpirationTime())
	return err == nil && !expires.IsZero() && !i.clock().Before(expires.Add(i.leeway))
}

// checkHeader refuses tokens that are meant for something else, and those that
// ask for more than we can do.
func checkHeader(header map[string]any, types []string) error {
	if _, critical := header["crit"]; critical {
		return invalid("crit: an extension is required that is not known here")
	}
	typ, there := header["typ"]
	if !there {
		return nil
	}
	text, ok := typ.(string)
	text = strings.TrimPrefix(strings.ToLower(text), "application/")
	if !ok || !slices.Contains(types, text) {
		return invalid("typ: it is a token of another kind")
	}
	return nil
}

// reason makes an *InvalidError of an error of the JWT library, whose own texts
// may repeat a part of the token. (I6)
func reason(err error) error {
	if e, ok := errors.AsType[*InvalidError](err); ok {
		return e
	}
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ErrUnavailable
	}
	for _, r := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenMalformed, "it is malformed"},
		{jwt.ErrTokenSignatureInvalid, "the signature or its algorithm"},
		{jwt.ErrTokenUnverifiable, "alg or kid: there is no key for it"},
		{jwt.ErrTokenExpired, "exp: it has expired"},
		{jwt.ErrTokenNotValidYet, "nbf: it is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "iat: it is of the future"},
		{jwt.ErrTokenInvalidAudience, "aud: it is for somebody else"},
		{jwt.ErrTokenInvalidIssuer, "iss: it is of another issuer"},
		{jwt.ErrTokenRequiredClaimMissing, "exp or aud is missing"},
	} {
		if errors.Is(err, r.err) {
			return &InvalidError{
				Reason: r.text, Expired: r.err == jwt.ErrTokenExpired,
				Later:   r.err == jwt.ErrTokenUnverifiable || r.err == jwt.ErrTokenNotValidYet || r.err == jwt.ErrTokenUsedBeforeIssued,
				Genuine: errors.Is(err, jwt.ErrTokenInvalidClaims), // looked at after the signature
			}
		}
	}
	return invalid("a claim has another type than it should")
}

// otherKinds are the values of the claim typ that Keycloak gives to tokens that
// are no access tokens.
var otherKinds = []string{"ID", "Refresh", "Offline", "Logout"}

// checkNeverBearer refuses what nobody may show as a bearer token.
func checkNeverBearer(claims map[string]any) error {
	if events, ok := claims["events"].(map[string]any); ok && events[logoutEvent] != nil {
		return invalid("events: it is a logout token")
	}
	if claims["cnf"] != nil {
		return invalid("cnf: it is bound to a key, whose proof is not checked here")
	}
	return nil
}

// checkAccessKind refuses what is no access token.
func checkAccessKind(claims map[string]any) error {
	if kind, ok := claims["typ"].(string); ok && slices.Contains(otherKinds, kind) {
		return invalid("typ: it is a token of another kind")
	}
	if claims["at_hash"] != nil || claims["c_hash"] != nil {
		return invalid("at_hash, c_hash: it is an ID token")
	}
	if claims["nonce"] != nil && claims["scope"] == nil && claims["scp"] == nil && claims["typ"] != "Bearer" {
		return invalid("nonce, without scope: it is an ID token")
	}
	return nil
}

// userOf returns what the user of a token is called here.
func (i *issuer) userOf(claims map[string]any) (string, error) {
	if sub, ok := i.userAt.text(claims); ok && sub != "" {
		if id, ok := i.userID(sub); ok {
			return id, nil
		}
	}
	return "", invalid("the claim of the user is missing, or is no name of a user")
}

// accessOf reads the claims of a token that is verified, or that the issuer has told of.
func (i *issuer) accessOf(claims map[string]any, introspected bool) (*Access, error) {
	if err := checkNeverBearer(claims); err != nil {
		return nil, err
	}
	if err := checkAccessKind(claims); err != nil {
		return nil, err
	}
	a := &Access{Issuer: i.Name}
	var err error
	if a.UserID, err = i.userOf(claims); err != nil {
		return nil, err
	}
	var ok bool
	if a.AgentID, ok = i.agentAt.text(claims); !ok {
		return nil, invalid("the claim of the user agent is no name of one")
	}
	i.grant(a, claims)
	if i.verify != nil {
		l, _, err := i.loginOf(claims, a.UserID, session.TimeOf(i.clock()))
		if err != nil {
			return nil, err
		}
		if l.Began == 0 && !introspected {
			return nil, errNoLogin
		}
		if l.Began == 0 { // RFC 7662 lets iat be missing: then only the session can end
			l.User = ""
		}
		a.Login = &l
	}
	return a, nil
}

// instant returns a date among the claims, zero if it is missing.
func instant(date *jwt.NumericDate, err error) (time.Time, error) {
	if err != nil {
		return time.Time{}, fmt.Errorf("%w", invalid("a date is not a number"))
	}
	if date == nil {
		return time.Time{}, nil
	}
	return date.Time, nil
}
