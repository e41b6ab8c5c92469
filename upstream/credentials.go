package upstream

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxToken is the length of the longest access token, in bytes.
	maxToken = 8 << 10
	// leastKeyBits is the size of the smallest key of a service account that is used.
	leastKeyBits = 2048
	// maxNames is the length of the longest user ID or key ID, in bytes.
	maxNames = 200
)

// Credentials are those of a service account: a personal access token, or a key that access tokens are got
// with. They are immutable, and shown nowhere. (I6)
type Credentials struct {
	pat string

	userID, keyID string
	key           *rsa.PrivateKey
}

// ParseCredentials reads what ZITADEL gives to a service account: a personal access token in one line, or the
// JSON of a key. Its errors repeat nothing of the text. (I6)
func ParseCredentials(text []byte) (*Credentials, error) {
	trimmed := strings.TrimSpace(string(text))
	switch {
	case trimmed == "":
		return nil, errors.New("the file is empty")
	case strings.HasPrefix(trimmed, "{"):
		return parseKey([]byte(trimmed))
	case len(trimmed) > maxToken:
		return nil, fmt.Errorf("the token must have at most %d bytes", maxToken)
	case !isToken(trimmed):
		return nil, errors.New("must have a personal access token in one line, or the JSON of a service account's key")
	}
	return &Credentials{pat: trimmed}, nil
}

func parseKey(text []byte) (*Credentials, error) {
	var file struct {
		Type   string `json:"type"`
		KeyID  string `json:"keyId"`
		Key    string `json:"key"`
		UserID string `json:"userId"`
	}
	if json.Unmarshal(text, &file) != nil {
		return nil, errors.New("is no JSON of a service account's key")
	}
	if file.Type != "serviceaccount" {
		return nil, errors.New("type must be serviceaccount: a key of an application does not do")
	}
	for _, field := range []struct{ name, value string }{{"keyId", file.KeyID}, {"userId", file.UserID}} {
		if field.value == "" || len(field.value) > maxNames {
			return nil, fmt.Errorf("%s must have 1 to %d bytes", field.name, maxNames)
		}
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(file.Key))
	if err != nil {
		return nil, errors.New("key must be an RSA private key in PEM")
	}
	if key.N.BitLen() < leastKeyBits {
		return nil, fmt.Errorf("key must have at least %d bits", leastKeyBits)
	}
	return &Credentials{userID: file.UserID, keyID: file.KeyID, key: key}, nil
}

// isToken says whether a text can stand behind Bearer (RFC 6750, 2.1).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-._~+/=", r)
	})
}

// Kind says what they are.
func (c *Credentials) Kind() string {
	if c.key != nil {
		return "key of a service account"
	}
	return "personal access token"
}

// String is Kind.
func (c *Credentials) String() string { return c.Kind() }

// GoString is Kind, so that no %#v shows more.
func (c *Credentials) GoString() string { return c.Kind() }

// LogValue is Kind.
func (c *Credentials) LogValue() slog.Value { return slog.StringValue(c.Kind()) }
