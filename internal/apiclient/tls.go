package apiclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
)

// TLSFiles names the files of a client that calls a sidecar over TLS, in PEM: the CAs that
// its certificate may come from, "" for those of the system; a certificate of the client's
// and its key, both "" for none.
type TLSFiles struct{ CA, Cert, Key string }

// config returns what the client needs. Its errors name the flag. (I6)
func (f TLSFiles) config(pipes followed.Pipes) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	read := followed.Reader(pipes)
	if f.CA != "" {
		text, err := read(f.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-file: %s has no certificate in PEM", f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("--cert-file and --cert-key-file must both be given, or neither")
	}
	if f.Cert == "" {
		return c, nil
	}
	cert, err := read(f.Cert)
	key, keyErr := read(f.Key)
	if err = errors.Join(err, keyErr); err != nil {
		return nil, fmt.Errorf("--cert-file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("--cert-file: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
