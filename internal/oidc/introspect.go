package oidc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxQuestions bounds how many tokens one issuer is asked about at a time. Who
// comes on top is told that it is unavailable.
const maxQuestions = 32

// Asks says whether there is an issuer that is asked about opaque tokens.
func (v *Verifier) Asks() bool { return v.current.Load().asked }

// Opaque asks the issuers about an opaque token, one after the other, until one
// says that it is good. Concurrent calls for one token share their questions,
// and the answers are kept for a short time.
func (v *Verifier) Opaque(ctx context.Context, token string) (*Access, error) {
	s := v.current.Load()
	if !s.asked {
		return nil, invalid("nobody is asked about opaque tokens")
	}
	if len(token) > MaxTokenBytes {
		return nil, invalid(fmt.Sprintf("it has more than %d bytes", MaxTokenBytes))
	}
	return s.introspect(ctx, s.list, token, tokenHash(sha256.Sum256([]byte(token))), v.clock())
}

// introspect asks those issuers of the list that can be asked.
func (s *issuers) introspect(ctx context.Context, list []*issuer, token string, hash tokenHash, now time.Time) (*Access, error) {
	if a := s.known.get(hash, now); a != nil {
		return a, nil
	}
	if s.known.wasRefused(hash, now) {
		return nil, &InvalidError{Reason: "the issuer said a moment ago that it is not active", Inactive: true}
	}
	refusal := invalid("nobody is asked about such tokens")
	unknown := false
	began := time.Now()
	for _, i := range list {
		if i.Introspection == nil {
			continue
		}
		if time.Since(began) > maxTimeout { // others took all the time that there is
			unknown = true
			break
		}
		a, expires, err := i.share(ctx, token, hash, now)
		switch {
		case err == nil:
			s.known.put(hash, a, now, expires)
			return a, nil
		case errors.Is(err, ErrUnavailable):
			unknown = true
		default:
			refusal = err
		}
	}
	if unknown { // (I2)
		return nil, ErrUnavailable
	}
	s.known.refuse(hash, now)
	return nil, refusal
}

// answered is the answer to a question that callers share.
type answered struct {
	access  *Access
	expires time.Time
}

// share asks the issuer, or waits for the answer to the caller that has asked
// already. That one asks for the others too, so its own context does not end the
// question; the time-out does, for all.
func (i *issuer) share(ctx context.Context, token string, hash tokenHash, now time.Time) (*Access, time.Time, error) {
	got, err, _ := i.asking.Do(string(hash[:]), func() (any, error) {
		select {
		case i.places <- struct{}{}:
			defer func() { <-i.places }()
		default:
			return nil, ErrUnavailable
		}
		timed, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.Introspection.timeout)
		defer cancel()
		claims, err := i.ask(timed, token)
		switch change, unanswered := i.outage.note(err, time.Now()); change {
		case outageBegan:
			i.log.Warn("an issuer does not answer what an opaque token is worth", "issuer", i.Name, "error", err)
		case outageEnded:
			i.log.Info("an issuer answers again what opaque tokens are worth", "issuer", i.Name, "unanswered", unanswered)
		}
		if err != nil {
			return nil, ErrUnavailable
		}
		a, expires, err := i.read(claims, now)
		if err != nil {
			return nil, i.refused(ctx, err)
		}
		return answered{a, expires}, nil
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	answer, _ := got.(answered)
	return answer.access, answer.expires, nil
}

// ask sends one question (RFC 7662, 2.1). Any error means that there was no
// answer that can be relied on.
func (i *issuer) ask(ctx context.Context, token string) (map[string]any, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.Introspection.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	// RFC 6749, 2.3.1: both are encoded before they are put together.
	req.SetBasicAuth(url.QueryEscape(i.Introspection.clientID), url.QueryEscape(i.Introspection.clientSecret))
	var claims map[string]any
	err = doJSON(i.client, req, &claims)
	if status := statusError(0); errors.As(err, &status) && (status == http.StatusUnauthorized || status == http.StatusForbidden) {
		return nil, fmt.Errorf("%w: it refuses client_id or the secret in client_secret_file", err)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := claims["active"].(bool); !ok {
		return nil, errors.New("the answer does not say whether the token is active")
	}
	return claims, nil
}

// read reads an answer. Whatever else the issuer says about a token is
// checked as in a JWT, as far as it is there.
func (i *issuer) read(claims map[string]any, now time.Time) (*Access, time.Time, error) {
	none := time.Time{}
	if claims["active"] != true {
		return nil, none, &InvalidError{Reason: "the issuer says that it is not active", Inactive: true}
	}
	c := jwt.MapClaims(claims)
	expires, err1 := instant(c.GetExpirationTime())
	begins, err2 := instant(c.GetNotBefore())
	issued, err3 := instant(c.GetIssuedAt())
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, none, invalid("a date is no number")
	}
	switch {
	case !expires.IsZero() && !now.Before(expires.Add(i.leeway)):
		return nil, none, &InvalidError{Reason: "exp: it has expired", Expired: true}
	case !begins.IsZero() && now.Before(begins.Add(-i.leeway)):
		return nil, none, invalid("nbf: it is not valid yet")
	case !issued.IsZero() && now.Before(issued.Add(-i.leeway)):
		return nil, none, invalid("iat: it is of the future")
	}
	if iss, there := claims["iss"]; there && iss != i.URL {
		return nil, none, invalid("iss: it is of another issuer")
	}
	// Else a token that was made for any other client of the issuer would do.
	if _, there := claims["aud"]; there || !i.Introspection.noAudience {
		aud, err := c.GetAudience()
		if err != nil || !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(i.audience, a) }) {
			return nil, none, invalid("aud: it is for somebody else")
		}
	}
	if kind, there := claims["token_type"]; there {
		if text, ok := kind.(string); !ok || !strings.EqualFold(text, "Bearer") {
			return nil, none, invalid("token_type: it is not Bearer")
		}
	}
	a, err := i.accessOf(claims, true)
	return a, expires, err
}
