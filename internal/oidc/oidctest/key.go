package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"testing"
)

// NewKey makes a key for an algorithm.
func NewKey(t testing.TB, algorithm string) *Key {
	t.Helper()
	var id [8]byte
	_, _ = rand.Read(id[:])
	var private crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &Key{ID: hex.EncodeToString(id[:]), Algorithm: algorithm, private: private}
}

// public is the JSON Web Key of k's public half.
func (k *Key) public() map[string]string {
	jwk := map[string]string{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	encode := base64.RawURLEncoding.EncodeToString
	switch key := k.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		half := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"] = "EC", key.Curve.Params().Name
		jwk["x"], jwk["y"] = encode(point[1:1+half]), encode(point[1+half:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(key)
	}
	return jwk
}

// JSON is the JSON Web Key of k's public half.
func (k *Key) JSON(t testing.TB) string {
	t.Helper()
	text, err := json.Marshal(k.public())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
