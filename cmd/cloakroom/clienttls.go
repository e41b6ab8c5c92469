package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
)

// clientTLS names the files of a client that calls a sidecar over TLS.
type clientTLS struct{ ca, cert, key string }

// config returns what the client needs. Its errors name the flag. (I6)
func (f clientTLS) config(pipes followed.Pipes) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	read := followed.Reader(pipes)
	if f.ca != "" {
		text, err := read(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-file: %s has no certificate in PEM", f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("--cert-file and --cert-key-file must both be given, or neither")
	}
	if f.cert == "" {
		return c, nil
	}
	cert, err := read(f.cert)
	key, keyErr := read(f.key)
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
