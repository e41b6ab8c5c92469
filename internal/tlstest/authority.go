// Package tlstest makes certificates for tests.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Files name a certificate and its key, as the files of a listener do.
type Files struct{ Cert, Key, ClientCA string }

// Authority makes certificates for 127.0.0.1. What fails, fails the test.
type Authority struct {
	t      *testing.T
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	PEM    []byte
	serial int64
}

// NewAuthority makes one, which t has.
func NewAuthority(t *testing.T) *Authority {
	a := &Authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	a.key = newECKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Issue makes a certificate that ends after a time, and its key.
func (a *Authority) Issue(left time.Duration) (cert, key []byte) {
	a.t.Helper()
	a.serial++
	k := newECKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.serial), Subject: pkix.Name{CommonName: fmt.Sprint("test ", a.serial)},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// Mounted writes a pair into dir as Kubernetes mounts a Secret: behind a link that is
// replaced at once.
func (a *Authority) Mounted(dir string, pair [2][]byte) Files {
	a.t.Helper()
	version, err := os.MkdirTemp(dir, "..v")
	if err == nil {
		err = os.WriteFile(filepath.Join(version, "tls.crt"), pair[0], 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(version, "tls.key"), pair[1], 0o600)
	}
	if err == nil {
		err = os.Symlink(filepath.Base(version), filepath.Join(dir, "..new"))
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data"))
	}
	files := Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	for _, path := range []string{files.Cert, files.Key} {
		if _, missing := os.Lstat(path); err == nil && missing != nil {
			err = os.Symlink(filepath.Join("..data", filepath.Base(path)), path)
		}
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return files
}

// Client trusts a, and has a certificate if cert is not nil.
func (a *Authority) Client(cert, key []byte) *http.Client {
	a.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(a.cert)
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

// Pair is a certificate and its key, as Issue returns them.
func Pair(cert, key []byte) [2][]byte { return [2][]byte{cert, key} }
