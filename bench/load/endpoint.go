package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// Endpoint is where a program listens. The zero value is nowhere.
type Endpoint struct {
	Network, Address string // as net.Dial takes them
	Host             string // of the Host header
	// TLS is spoken, unless it is nil.
	TLS *tls.Config
}

// ParseEndpoint takes http://HOST:PORT, https://HOST:PORT or unix:PATH.
func ParseEndpoint(s string) (Endpoint, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" {
		return Endpoint{Network: "unix", Address: path, Host: "localhost"}, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return Endpoint{}, err
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return Endpoint{}, fmt.Errorf("%q is none of http://HOST:PORT, https://HOST:PORT and unix:PATH", s)
	}
	e := Endpoint{Network: "tcp", Host: u.Host}
	port := u.Port()
	if u.Scheme == "https" {
		e.TLS = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	switch {
	case port != "":
	case e.TLS != nil:
		port = "443"
	default:
		port = "80"
	}
	e.Address = net.JoinHostPort(u.Hostname(), port)
	return e, nil
}

// Trust makes the certificates in a PEM file those that may vouch for the server, in the place of the system's. An empty name
// changes nothing.
func (e *Endpoint) Trust(file string) error {
	if file == "" {
		return nil
	}
	if e.TLS == nil {
		return fmt.Errorf("%s has no TLS, for which a file of certificates is", e.Host)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	own := e.TLS.Clone()
	if own.RootCAs = x509.NewCertPool(); !own.RootCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s has no certificate in PEM", file)
	}
	e.TLS = own
	return nil
}

// Dial connects.
func (e Endpoint) Dial(ctx context.Context) (net.Conn, error) {
	if e.TLS != nil {
		return (&tls.Dialer{Config: e.TLS}).DialContext(ctx, e.Network, e.Address)
	}
	return (&net.Dialer{}).DialContext(ctx, e.Network, e.Address)
}
