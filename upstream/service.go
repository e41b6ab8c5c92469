package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// tokenPath is where access tokens are got.
	tokenPath = "/oauth/v2/token"
	// grantType and scope are what is asked for there: a token for ZITADEL's own API.
	grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	scope     = "openid urn:zitadel:iam:org:project:id:zitadel:aud"
	// assertionTime is how long the JWT is good that asks for one; it begins clockSkew ago.
	assertionTime, clockSkew = 5 * time.Minute, 10 * time.Second
	// earliest bounds how long before its end an access token is renewed: a fifth of its time, and
	// this at most.
	earliest = 5 * time.Minute
	// maxTokenTime bounds how long an access token is used.
	maxTokenTime = 24 * time.Hour
	// renewRest is how long none is asked for after that has failed, and how old one must be for a
	// 401 to show that it has ended early.
	renewRest = time.Second
)

// service has the access token of our service account.
type service struct {
	mu          sync.Mutex
	credentials *Credentials
	current     accessToken
	// renewing is closed when the renewal that is under way ends; nil if there is none.
	renewing chan struct{}
	// failed is why the last renewal failed, at failedAt; nil if it did not.
	failed   *UnavailableError
	failedAt time.Time
	// refused says that our token was refused, and that this is in the log.
	refused bool
}

// accessToken is a token for the header Authorization. That of a file has no dates.
type accessToken struct {
	value              string
	got, renewAt, ends time.Time
}

// SetCredentials uses others from the next call on.
func (c *Client) SetCredentials(to *Credentials) {
	s := &c.service
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials, s.current, s.renewing, s.failed, s.refused = to, accessToken{}, nil, nil, false
}

// ourToken returns our access token. Shortly before its end the first call that sees it has it
// renewed, for all, and goes on with the old one. Without one all wait for one renewal.
func (c *Client) ourToken(ctx context.Context) (accessToken, error) {
	for {
		token, wait, err := c.heldToken()
		if err != nil || wait == nil {
			return token, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return accessToken{}, c.failure(ctx, ctx.Err(), false)
		}
	}
}

// heldToken returns the token that there is, an error, or what to wait for.
func (c *Client) heldToken() (accessToken, <-chan struct{}, error) {
	s := &c.service
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case s.credentials == nil:
		return accessToken{}, nil, &UnavailableError{Reason: "there are no credentials of ours"}
	case s.credentials.pat != "":
		return accessToken{value: s.credentials.pat}, nil, nil
	case s.current.value != "" && now.Before(s.current.renewAt):
		return s.current, nil, nil
	}
	resting := s.failed != nil && now.Sub(s.failedAt) < renewRest
	if s.renewing == nil && !resting {
		if !c.tasks.begin() {
			return accessToken{}, nil, errClosed
		}
		s.renewing = make(chan struct{})
		go func(with *Credentials, ended chan struct{}) {
			defer c.tasks.group.Done()
			c.renew(with, ended)
		}(s.credentials, s.renewing)
	}
	switch {
	case s.current.value != "" && now.Before(s.current.ends):
		return s.current, nil, nil
	case s.renewing == nil:
		return accessToken{}, nil, s.failed
	}
	return accessToken{}, s.renewing, nil
}

// renew gets a new access token, and closes ended.
func (c *Client) renew(with *Credentials, ended chan struct{}) {
	ctx, cancel := context.WithTimeoutCause(c.tasks.ctx, c.timeout, errLate)
	defer cancel()
	began := time.Now()
	token, failed := c.newToken(ctx, with)
	s := &c.service
	s.mu.Lock()
	if s.renewing == ended { // else there are other credentials by now
		s.renewing = nil
		switch {
		case failed == nil:
			if s.failed != nil {
				c.log.Info("zitadel gives us access tokens again")
			}
			s.current, s.failed = token, nil
		case s.failed == nil:
			c.log.Warn("zitadel gives us no access token", "error", failed)
			fallthrough
		default:
			s.failed, s.failedAt = failed, time.Now()
		}
	}
	close(ended)
	s.mu.Unlock()
	c.metrics.renewed(failed == nil, time.Since(began))
}

// newToken asks for an access token (RFC 7523, 2.1).
func (c *Client) newToken(ctx context.Context, with *Credentials) (accessToken, *UnavailableError) {
	no := func(reason string) (accessToken, *UnavailableError) {
		return accessToken{}, &UnavailableError{Reason: ReasonNoToken + ": " + reason}
	}
	now := time.Now()
	assertion, err := with.assertion(c.audience(), now)
	if err != nil {
		return no("the key of the service account does not sign")
	}
	target, err := c.target(tokenPath)
	if err != nil {
		return no("it has no URL")
	}
	form := url.Values{"grant_type": {grantType}, "scope": {scope}, "assertion": {assertion}}
	a, err := c.exchange(ctx, &Request{
		Method: http.MethodPost, Body: []byte(form.Encode()), asUs: true, Read: true,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
	}, target, "")
	var away *UnavailableError
	if errors.As(err, &away) {
		return no(away.Reason)
	}
	if err != nil {
		return no(err.Error())
	}
	if a.Status != http.StatusOK {
		return no(statusReason(a.Status) + oauthError(a))
	}
	var answer struct {
		Token   string  `json:"access_token"`
		Type    string  `json:"token_type"`
		Expires float64 `json:"expires_in"`
	}
	if !a.isJSON() || json.Unmarshal(a.Body, &answer) != nil || !isToken(answer.Token) || len(answer.Token) > maxToken ||
		!strings.EqualFold(answer.Type, "Bearer") || answer.Expires <= 0 {
		return no("its answer has no token")
	}
	lasts := time.Duration(min(answer.Expires, maxTokenTime.Seconds()) * float64(time.Second))
	return accessToken{
		value: answer.Token, got: time.Now(), renewAt: now.Add(lasts - min(lasts/5, earliest)), ends: now.Add(lasts),
	}, nil
}

// oauthErrors are those of a token endpoint (RFC 6749, 5.2). Others are not shown.
var oauthErrors = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
}

// oauthError is which of them an answer is, in parentheses.
func oauthError(a *Answer) string {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(a.Body, &answer) != nil || !slices.Contains(oauthErrors, answer.Error) {
		return ""
	}
	return fmt.Sprintf(" (%s)", answer.Error)
}

// audience is whom our assertions are for: the instance, which knows itself by its URL. Behind a
// proxy that ends TLS it is https though we ask it by http.
func (c *Client) audience() jwt.ClaimStrings {
	audience := jwt.ClaimStrings{"https://" + c.host}
	if c.base.Scheme == "http" {
		audience = append(audience, "http://"+c.host)
	}
	return audience
}

// assertion is a JWT that says that we are the service account.
func (c *Credentials) assertion(audience jwt.ClaimStrings, now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: c.userID, Subject: c.userID, Audience: audience,
		IssuedAt: jwt.NewNumericDate(now.Add(-clockSkew)), ExpiresAt: jwt.NewNumericDate(now.Add(assertionTime)),
	})
	token.Header["kid"] = c.keyID
	return token.SignedString(c.key)
}

// renews takes that a token was refused, and says whether there is, or will be, another one to try.
func (s *service) renews(refused accessToken) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.credentials == nil:
		return false
	case s.credentials.pat != "":
		return s.credentials.pat != refused.value
	case s.current.value != refused.value:
		return true
	case time.Since(s.current.got) < renewRest: // the next one would be refused as well
		return false
	}
	s.current = accessToken{}
	return true
}

// judged takes whether our token was accepted. It is logged when that changes.
func (s *service) judged(log *slog.Logger, accepted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != accepted {
		return
	}
	s.refused = !accepted
	if s.refused {
		log.Warn("zitadel refuses our access token")
	} else {
		log.Info("zitadel accepts our access token again")
	}
}

// fault says why there is no access token of ours that is accepted, "" if there is one or none has been needed.
func (s *service) fault() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.credentials == nil:
		return "there are no credentials of ours"
	case s.failed != nil:
		return s.failed.Reason
	case s.refused:
		return "it refuses our access token"
	}
	return ""
}
