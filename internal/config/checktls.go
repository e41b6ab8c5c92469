package config

import (
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// checkTLS reads the certificates of the listeners.
func checkTLS(c *Config, wrong *usage.Faults) {
	if !c.good("http-tls-cert-file", "http-tls-key-file", "http-tls-client-ca-file", "verify-tls-cert-file", "verify-tls-key-file", "verify-addr") {
		return
	}
	before := len(*wrong)
	for _, l := range []struct {
		name  string
		files followed.CertificateFiles
	}{{"http", c.httpTLSFiles}, {"verify", c.verifyTLSFiles}} {
		if (l.files.Cert == "") != (l.files.Key == "") {
			wrong.Addf("--%[1]s-tls-cert-file and --%[1]s-tls-key-file must both be set, or neither", l.name)
		}
	}
	ca := c.httpTLSFiles.ClientCA
	if ca != "" && c.httpTLSFiles.Cert == "" && c.verifyTLSFiles.Cert == "" {
		wrong.Addf("--http-tls-client-ca-file needs a listener with TLS: set --http-tls-cert-file and --http-tls-key-file")
	}
	if c.verifyTLSFiles.Cert != "" && c.Listen.Verify == "" {
		wrong.Addf("--verify-tls-cert-file needs a listener: set --verify-addr")
	}
	if len(*wrong) > before {
		return
	}
	open := func(name string, files followed.CertificateFiles) *followed.Certificate {
		if files.Cert == "" {
			return nil
		}
		files.ClientCA = ca
		opened, err := followed.OpenCertificate(name, files, c.pipes)
		if err != nil {
			wrong.Addf("--%s-tls-cert-file: %v", name, err)
		}
		return opened
	}
	c.HTTPTLS = open("http", c.httpTLSFiles)
	switch {
	case c.verifyTLSFiles.Cert != "":
		c.VerifyTLS = open("verify", c.verifyTLSFiles)
	case c.HTTPTLS != nil && c.Listen.Verify != "" && !listen.Loopback(c.Listen.Verify):
		c.VerifyTLS = open("verify", c.httpTLSFiles)
	}
}

// Certificates are those of all listeners.
func (c *Config) Certificates() (all []*followed.Certificate) {
	for _, cert := range []*followed.Certificate{c.HTTPTLS, c.VerifyTLS} {
		if cert != nil {
			all = append(all, cert)
		}
	}
	return all
}

// Followed are those of all settings that have files.
func (c *Config) Followed() (all []followed.Follower) {
	for _, cert := range c.Certificates() {
		all = append(all, cert)
	}
	if c.APIKeys != nil {
		all = append(all, c.APIKeys)
	}
	if c.Issuers != nil {
		all = append(all, c.Issuers)
	}
	return all
}
