package session

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// TokenHash is the SHA-256 of a whole session token. The zero value means no
// token. It is all that is ever stored of one. (I6)
type TokenHash [sha256.Size]byte

// secretLen is the length of a token's secret: 256 random bits in base64url.
const secretLen = 43

// NewToken makes a session token for id: the ID, a dot, 43 random characters.
func NewToken(id ID) (token string, hash TokenHash) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	token = string(id) + "." + base64.RawURLEncoding.EncodeToString(secret[:])
	return token, HashToken(token)
}

// HashToken returns what is stored of token.
func HashToken(token string) TokenHash {
	var buffer [MaxIDLen + 1 + secretLen]byte // so that a token of ours takes no other memory
	return sha256.Sum256(append(buffer[:0], token...))
}

// SplitToken returns the session ID that a token of our own making carries:
// what stands before its last dot. ok is false if token has not that shape; it
// may still be a token that somebody else made.
func SplitToken(token string) (id ID, ok bool) {
	dot := strings.LastIndexByte(token, '.')
	if dot < 1 || len(token)-dot-1 != secretLen {
		return "", false
	}
	id, err := ParseID(token[:dot])
	return id, err == nil
}

// Matches says, in constant time, whether token is the one whose hash is h.
// No token matches the zero hash.
func (h TokenHash) Matches(token string) bool {
	got := HashToken(token)
	return subtle.ConstantTimeCompare(h[:], got[:]) == 1 && !h.IsZero()
}

// IsZero says whether there is no token.
func (h TokenHash) IsZero() bool { return h == TokenHash{} }
