package zitadeltest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// APIScope is the scope without which an access token is of no use at ZITADEL's own API.
const APIScope = "urn:zitadel:iam:org:project:id:zitadel:aud"

const (
	jwtBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	tokenLife   = 12 * time.Hour
	maxAge      = time.Hour // of an assertion
	serviceBits = 2048
)

// serviceKey is a key of a service account.
type serviceKey struct {
	userID string
	public *rsa.PublicKey
}

// AddKey makes a key of a service account, and returns the JSON that ZITADEL's console lets download.
func (s *Server) AddKey(account Account) []byte {
	s.test().Helper()
	private, err := rsa.GenerateKey(rand.Reader, serviceBits)
	if err != nil {
		s.test().Fatal(err)
	}
	id := s.NewID()
	s.mu.Lock()
	s.keys[id] = &serviceKey{account.UserID, &private.PublicKey}
	s.mu.Unlock()
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	file, err := json.Marshal(map[string]string{"type": "serviceaccount", "keyId": id, "key": string(text), "userId": account.UserID})
	if err != nil {
		s.test().Fatal(err)
	}
	return file
}

// RemoveKey removes a key by its ID (keyId).
func (s *Server) RemoveKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
}

// token answers POST /oauth/v2/token for the JWT profile (RFC 7523). It follows ZITADEL's documents; its errors are those of
// RFC 6749, with texts of our own.
func (s *Server) token(r *http.Request) reply {
	refuse := func(kind, text string) reply {
		return reply{plain: true, status: http.StatusBadRequest, body: map[string]string{"error": kind, "error_description": text}}
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return refuse("invalid_request", "error parsing form")
	}
	if r.PostForm.Get("grant_type") != jwtBearer {
		return refuse("unsupported_grant_type", "the double knows only the JWT profile")
	}
	if r.PostForm.Get("assertion") == "" {
		return refuse("invalid_request", "assertion missing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	userID, err := s.assertion(r.PostForm.Get("assertion"))
	if err != nil {
		return refuse("invalid_grant", err.Error())
	}
	token := s.sealer.seal("at_" + s.id() + ":" + userID)
	if slices.Contains(strings.Fields(r.PostForm.Get("scope")), APIScope) {
		s.bearers[token] = bearer{userID: userID, expires: s.now().Add(tokenLife)}
	}
	return reply{plain: true, body: map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(tokenLife/time.Second) - 1}}
}

// assertion returns whose assertion this is. The caller holds mu.
func (s *Server) assertion(text string) (string, error) {
	var key *serviceKey
	claims := &jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		if key = s.keys[id]; key == nil {
			return nil, errors.New("unknown key")
		}
		return key.public, nil
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(s.URL), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(s.now))
	switch {
	case err != nil:
		return "", err
	case claims.Issuer != claims.Subject || claims.Subject != key.userID:
		return "", errors.New("issuer and subject must be the user of the key")
	case claims.IssuedAt == nil || s.now().Sub(claims.IssuedAt.Time) > maxAge:
		return "", errors.New("the assertion is too old")
	case s.users[key.userID].state != active:
		return "", errors.New("the user is not active")
	}
	return key.userID, nil
}
