package assertion

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// MaxKeys is how many keys a file may have.
const MaxKeys = 10

// Keys are the private keys of a file. The first signs; the public halves of all are published,
// so that a key is known before it signs, and for some time afterwards. They are immutable.
type Keys struct {
	first ed25519.PrivateKey
	kid   string // of the first
	n     int
	// header is that of every JWT, encoded, with the dot behind it.
	header []byte
	set    []byte
}

// ParseKeys reads PEM with one to MaxKeys Ed25519 private keys in PKCS #8. Its errors repeat
// nothing of text. (I6)
func ParseKeys(text []byte) (*Keys, error) {
	k := new(Keys)
	seen := map[string]bool{}
	begun := bytes.Count(text, []byte("-----BEGIN "))
	set := []byte(`{"keys":[`)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if k.n++; k.n > MaxKeys {
			return nil, fmt.Errorf("it has more than %d keys", MaxKeys)
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, fmt.Errorf("key %d is encrypted", k.n)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		private, is := parsed.(ed25519.PrivateKey)
		if err != nil || block.Type != "PRIVATE KEY" || !is {
			return nil, fmt.Errorf("key %d is no Ed25519 private key in PKCS #8, as `openssl genpkey -algorithm ed25519` makes them", k.n)
		}
		x := base64.RawURLEncoding.EncodeToString(private[ed25519.SeedSize:])
		kid := thumbprint(x)
		if seen[kid] {
			return nil, fmt.Errorf("key %d is there twice", k.n)
		}
		seen[kid] = true
		if k.n == 1 {
			k.first, k.kid, k.header = private, kid, appendHeader(nil, kid)
		} else {
			set = append(set, ',')
		}
		set = fmt.Appendf(set, `{"kty":"OKP","crv":"Ed25519","x":"%s","kid":"%s","use":"sig","alg":"EdDSA"}`, x, kid)
	}
	switch { // pem passes over a block that is broken
	case k.n == 0 && begun == 0:
		return nil, errors.New("it has no key in PEM")
	case k.n != begun:
		return nil, errors.New("it has a PEM block that is broken, or not whole")
	}
	k.set = append(set, "]}"...)
	return k, nil
}

// appendHeader appends the header of JWTs that are signed with a key, encoded, and a dot. Its
// typ, which no other token has, keeps an assertion from being taken for one (RFC 8725, 3.11).
func appendHeader(b []byte, kid string) []byte {
	b = base64.RawURLEncoding.AppendEncode(b, []byte(`{"alg":"EdDSA","kid":"`+kid+`","typ":"`+Type+`"}`))
	return append(b, '.')
}

// thumbprint is the ID of a public key (RFC 7638, RFC 8037), of which x is the encoded form.
func thumbprint(x string) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Len is how many keys there are.
func (k *Keys) Len() int { return k.n }

// ID is the kid of the key that signs.
func (k *Keys) ID() string { return k.kid }

// Set is the JWK Set of the public keys (RFC 7517), which must not be changed.
func (k *Keys) Set() []byte { return k.set }

// sign appends the JWT with this payload.
func (k *Keys) sign(b, payload []byte) []byte {
	from := len(b)
	b = base64.RawURLEncoding.AppendEncode(append(b, k.header...), payload)
	signature := ed25519.Sign(k.first, b[from:])
	return base64.RawURLEncoding.AppendEncode(append(b, '.'), signature)
}
