package followed

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/prometheus/client_golang/prometheus"
)

// warnBefore is how long before its end a certificate is warned of, if it is good
// for long; a short one has a third of its time left then.
const warnBefore = 14 * 24 * time.Hour

// CertificateFiles name what a listener needs for TLS.
type CertificateFiles struct {
	Cert, Key string
	ClientCA  string // "" asks clients for no certificate
}

// Certificate is the certificate of a listener, read again whenever its files
// change. It is safe for concurrent use.
type Certificate struct {
	*Files[*servedCertificate]
	Listener string // "http", "verify" or "grpc"
	Failed   prometheus.Counter

	// Only Run uses these.
	warned time.Time // the end of the certificate that was warned of last
	lost   bool      // it was logged that it has ended
}

// servedCertificate is what is served.
type servedCertificate struct {
	config      *tls.Config
	from, until time.Time
}

// OpenCertificate reads the files of a listener, which speaks these protocols (RFC 7301).
func OpenCertificate(listener string, files CertificateFiles, pipes Pipes, protocols ...string) (*Certificate, error) {
	c := &Certificate{Listener: listener, Files: &Files[*servedCertificate]{
		Setting: listener + "-tls-cert-file",
		Parse: func(read func(string) ([]byte, error)) (*servedCertificate, error) {
			cert, err := read(files.Cert)
			key, keyErr := read(files.Key)
			clientCA, caErr := read(files.ClientCA)
			if err = errors.Join(err, keyErr, caErr); err != nil {
				return nil, err
			}
			return serveCertificate(cert, key, clientCA, protocols)
		},
		Done: "TLS certificate reloaded", Kept: "the TLS certificate was not reloaded, the old one stays",
		Says: func(s *servedCertificate) []any { return []any{"listener", listener, "until", s.until} },
	}}
	if err := c.Open(pipes); err != nil {
		return nil, err
	}
	c.Failed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "cloakroom_tls_handshake_failures_total", Help: "TLS handshakes that did not end well, by listener.",
		ConstLabels: prometheus.Labels{"listener": listener},
	})
	return c, nil
}

// RegisterTLS shows the certificate's end and the handshakes that failed.
func (c *Certificate) RegisterTLS(r prometheus.Registerer) {
	r.MustRegister(c.Failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate that is served ends, as Unix time, by listener.",
		ConstLabels: prometheus.Labels{"listener": c.Listener},
	}, func() float64 { return float64(c.Value().until.Unix()) }))
}

// Config returns what a listener needs: each handshake takes the certificate of
// its moment.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.Value().config, nil },
	}
}

// Run warns before the certificate ends, until ctx ends.
func (c *Certificate) Run(ctx context.Context) error {
	c.warn(time.Now())
	return parts.Again(ctx, Every, func(context.Context) { c.warn(time.Now()) })
}

// warn logs, once each, that the certificate ends soon, and that it has ended.
func (c *Certificate) warn(now time.Time) {
	s := c.Value()
	left := s.until.Sub(now)
	if !s.until.Equal(c.warned) {
		c.lost = false
	}
	switch {
	case left <= 0 && !c.lost:
		c.lost, c.warned = true, s.until
		c.log.Error("the TLS certificate has expired", "listener", c.Listener, "until", s.until)
	case left > 0 && left < min(warnBefore, s.until.Sub(s.from)/3) && !s.until.Equal(c.warned):
		c.warned = s.until
		c.log.Warn("the TLS certificate expires soon", "listener", c.Listener, "until", s.until, "left", left.Round(time.Second).String())
	}
}

// serveCertificate makes the configuration of a listener; clientCA is nil without
// a file. A new one has new keys for resumed sessions, so that a client that it
// does not trust any more is asked.
func serveCertificate(cert, key, clientCA []byte, protocols []string) (*servedCertificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate and its key: %w", err)
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   protocols,
	}
	if len(bytes.TrimSpace(clientCA)) > 0 {
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(clientCA) {
			return nil, errors.New("the CA of clients: has no certificate in PEM")
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	} else if clientCA != nil {
		return nil, errors.New("the CA of clients: is empty")
	}
	return &servedCertificate{config: c, from: pair.Leaf.NotBefore, until: pair.Leaf.NotAfter}, nil
}
