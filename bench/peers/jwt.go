package peers

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/golang-jwt/jwt/v5"
)

// plainJWT checks the signature of every token, and cannot know that one was revoked.
type plainJWT struct {
	issuer *issuer.Issuer
	parser *jwt.Parser
}

func openPlainJWT(i *issuer.Issuer) Gate { return &plainJWT{i, i.Parser()} }

// Verify implements Gate.
func (g *plainJWT) Verify(_ context.Context, token []byte) (*issuer.Claims, error) {
	claims := new(issuer.Claims)
	if _, err := g.parser.ParseWithClaims(string(token), claims, g.issuer.Key); err != nil {
		return nil, errors.Join(ErrRefused, err)
	}
	return claims, nil
}

// Close implements Gate.
func (g *plainJWT) Close() {}

// cachedJWT is plainJWT that knows a token again by its SHA-256. It forgets none: so much memory no
// program would give away.
type cachedJWT struct {
	plain Gate
	known sync.Map // of [sha256.Size]byte to *issuer.Claims
}

func openCachedJWT(i *issuer.Issuer) Gate { return &cachedJWT{plain: openPlainJWT(i)} }

// Verify implements Gate.
func (g *cachedJWT) Verify(ctx context.Context, token []byte) (*issuer.Claims, error) {
	hash := sha256.Sum256(token)
	if found, ok := g.known.Load(hash); ok {
		if claims := found.(*issuer.Claims); time.Now().Before(claims.ExpiresAt.Time) {
			return claims, nil
		}
		return nil, ErrRefused
	}
	claims, err := g.plain.Verify(ctx, token)
	if err == nil {
		g.known.Store(hash, claims)
	}
	return claims, err
}

// Close implements Gate.
func (g *cachedJWT) Close() {}
