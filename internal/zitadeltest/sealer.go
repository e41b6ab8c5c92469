package zitadeltest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// sealer makes tokens that have the form of ZITADEL's: a JWE of five parts in base64url, which encrypts an ID with the server's
// own key, and shows nothing of it to others.
type sealer struct{ aead cipher.AEAD }

func newSealer() *sealer {
	block, err := aes.NewCipher(random(32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &sealer{aead}
}

func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.Read(data)
	return data
}

var encode = base64.RawURLEncoding.EncodeToString

// seal returns a token. One for a session with an ID of 18 digits has 283 characters, as recorded; shorter IDs give shorter ones.
func (k *sealer) seal(text string) string {
	const headerBytes = 106
	header := `{"alg":"A256GCMKW","enc":"A256GCM","iv":"` + encode(random(12)) + `","tag":"` + encode(random(16)) + `","kid":"`
	header += strings.Repeat("k", headerBytes-len(header)-2) + `"}`
	protected, nonce := encode([]byte(header)), random(k.aead.NonceSize())
	sealed := k.aead.Seal(nil, nonce, []byte(text), []byte(protected))
	end := len(sealed) - k.aead.Overhead()
	return strings.Join([]string{protected, encode(random(32)), encode(nonce), encode(sealed[:end]), encode(sealed[end:])}, ".")
}

// open returns what was sealed in a token, and whether it is one of ours.
func (k *sealer) open(token string) (string, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 5 {
		return "", false
	}
	var decoded [3][]byte
	for i, part := range parts[2:] {
		data, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return "", false
		}
		decoded[i] = data
	}
	if len(decoded[0]) != k.aead.NonceSize() {
		return "", false
	}
	text, err := k.aead.Open(nil, decoded[0], append(decoded[1], decoded[2]...), []byte(parts[0]))
	return string(text), err == nil
}
