package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Access is what servers ask of every connection, those of each other included. The zero value asks for nothing.
type Access struct {
	// User may do everything, by Password; the user "default" may do nothing then. Without a User, the Password is that of
	// "default".
	User, Password string
	// Certificates make the servers speak TLS only, and only to clients with a certificate of the same authority.
	Certificates *Certificates
}

// listen returns the lines of redis.conf for a server at port.
func (a *Access) listen(port string) []string {
	lines := []string{"port " + port}
	if c := a.Certificates; c != nil {
		lines = []string{
			"port 0", "tls-port " + port, "tls-replication yes", "tls-auth-clients yes",
			"tls-ca-cert-file " + c.CA, "tls-cert-file " + c.Cert, "tls-key-file " + c.Key,
		}
	}
	switch {
	case a.User != "":
		lines = append(lines, "user default off", "user "+a.User+" on >"+a.Password+" ~* &* +@all")
	case a.Password != "":
		lines = append(lines, "requirepass "+a.Password)
	}
	return lines
}

// replicate returns the lines of redis.conf by which a replica gets in at its master.
func (a *Access) replicate() []string {
	var lines []string
	if a.User != "" {
		lines = append(lines, "masteruser "+a.User)
	}
	if a.Password != "" {
		lines = append(lines, "masterauth "+a.Password)
	}
	return lines
}

// url returns how URLs begin, up to the first host: form is "", "+cluster" or "+sentinel".
func (a *Access) url(form string) string {
	u := "redis"
	if a.Certificates != nil {
		u = "rediss"
	}
	u += form + "://"
	if a.Password != "" {
		u += a.User + ":" + a.Password + "@"
	}
	return u
}

func (a *Access) tlsConfig() *tls.Config {
	if a.Certificates == nil {
		return nil
	}
	return a.Certificates.Client.Clone()
}

// Certificates are files in PEM: an authority, and a certificate of it for 127.0.0.1 and localhost, with its key, that
// servers and clients may use.
type Certificates struct {
	CA, Cert, Key string
	// Client is the configuration of a client that has them.
	Client *tls.Config

	until time.Time // of the servers' and clients' certificate
}

// NewCertificates makes certificates in a directory of the test, valid for a month.
func NewCertificates(t testing.TB) *Certificates {
	t.Helper()
	dir := t.TempDir()
	c := &Certificates{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), until: time.Now().Add(30 * 24 * time.Hour)}
	if err := c.write(); err != nil {
		t.Fatal(err)
	}
	return c
}

// Renew writes certificates of a new authority to the same files. Servers read them when they start again.
func (c *Certificates) Renew(t testing.TB) {
	t.Helper()
	if err := c.write(); err != nil {
		t.Fatal(err)
	}
}

// RenewUntil is Renew with the end of the certificate, which may be past.
func (c *Certificates) RenewUntil(t testing.TB, end time.Time) {
	t.Helper()
	c.until = end
	c.Renew(t)
}

func (c *Certificates) write() error {
	authority := template("redistest authority")
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return err
	}
	leaf := template("redistest")
	leaf.NotAfter = c.until
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leaf.IPAddresses, leaf.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for file, block := range map[string]*pem.Block{
		c.CA: {Type: "CERTIFICATE", Bytes: authorityDER}, c.Cert: {Type: "CERTIFICATE", Bytes: leafDER}, c.Key: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	parsed, err := x509.ParseCertificate(authorityDER)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	c.Client = &tls.Config{
		RootCAs:      roots,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}
	return nil
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     time.Now().Add(30 * 24 * time.Hour),
	}
}
