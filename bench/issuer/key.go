package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
)

// key is a key pair for one algorithm, whose name it goes by.
type key struct {
	algorithm string
	private   crypto.Signer
}

const rsaBits = 2048

func newKey(algorithm string) (*key, error) {
	k := &key{algorithm: algorithm}
	var err error
	if algorithm == "RS256" {
		k.private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	} else {
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return k, err
}

func keyFile(dir, algorithm string) string {
	return filepath.Join(dir, strings.ToLower(algorithm)+".pem")
}

func (k *key) write(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return err
	}
	return os.WriteFile(keyFile(dir, k.algorithm), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), privateFileMode)
}

func readKey(dir, algorithm string) (*key, error) {
	name := keyFile(dir, algorithm)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s has no key", name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("%s has no key that signs", name), err)
	}
	return &key{algorithm: algorithm, private: private}, nil
}

// jwk is the JSON Web Key of the public half.
func (k *key) jwk() (map[string]string, error) {
	encode := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kid": k.algorithm, "alg": k.algorithm, "use": "sig"}
	switch public := k.private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return nil, err
		}
		half := len(point) / 2 // behind a byte that names the form
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", encode(point[1:1+half]), encode(point[1+half:])
	}
	return jwk, nil
}

func randomText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // it never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
