package config

import (
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/cloakroom-dev/cloakroom/rpc"
)

// checkTLS reads the certificates of the listeners.
func checkTLS(c *Config, wrong *usage.Faults) {
	if !c.good("http-tls-cert-file", "http-tls-key-file", "http-tls-client-ca-file", "verify-tls-cert-file", "verify-tls-key-file", "verify-addr",
		"grpc-tls-cert-file", "grpc-tls-key-file", "grpc-addr") {
		return
	}
	byGRPC := []string{"h2", "http/1.1"}
	if c.GRPCServices == (rpc.Services{Check: true}) {
		byGRPC = byGRPC[:1] // it speaks nothing else
	}
	// Those of the other listeners, which have the API's certificate unless they have their own.
	others := []struct {
		name, addr string
		files      followed.CertificateFiles
		protocols  []string
		to         **followed.Certificate
	}{
		{"verify", c.Listen.Verify, c.verifyTLSFiles, []string{"http/1.1"}, &c.VerifyTLS},
		{"grpc", c.Listen.GRPC, c.grpcTLSFiles, byGRPC, &c.GRPCTLS},
	}
	before := len(*wrong)
	paired := func(name string, files followed.CertificateFiles) {
		if (files.Cert == "") != (files.Key == "") {
			wrong.Addf("--%[1]s-tls-cert-file and --%[1]s-tls-key-file must both be set, or neither", name)
		}
	}
	paired("http", c.httpTLSFiles)
	anyTLS := c.httpTLSFiles.Cert != ""
	for _, l := range others {
		paired(l.name, l.files)
		anyTLS = anyTLS || l.files.Cert != ""
		if l.files.Cert != "" && l.addr == "" {
			wrong.Addf("--%[1]s-tls-cert-file needs a listener: set --%[1]s-addr", l.name)
		}
	}
	ca := c.httpTLSFiles.ClientCA
	if ca != "" && !anyTLS {
		wrong.Addf("--http-tls-client-ca-file needs a listener with TLS: set --http-tls-cert-file and --http-tls-key-file")
	}
	if len(*wrong) > before {
		return
	}
	open := func(name string, files followed.CertificateFiles, protocols ...string) *followed.Certificate {
		if files.Cert == "" {
			return nil
		}
		files.ClientCA = ca
		opened, err := followed.OpenCertificate(name, files, c.pipes, protocols...)
		if err != nil {
			wrong.Addf("--%s-tls-cert-file: %v", name, err)
		}
		return opened
	}
	c.HTTPTLS = open("http", c.httpTLSFiles, "http/1.1")
	for _, l := range others {
		switch {
		case l.files.Cert != "":
			*l.to = open(l.name, l.files, l.protocols...)
		case c.HTTPTLS != nil && l.addr != "" && !listen.Loopback(l.addr):
			*l.to = open(l.name, c.httpTLSFiles, l.protocols...)
		}
	}
}

// Certificates are those of all listeners.
func (c *Config) Certificates() (all []*followed.Certificate) {
	for _, cert := range []*followed.Certificate{c.HTTPTLS, c.VerifyTLS, c.GRPCTLS} {
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
	if c.AssertionKeys != nil {
		all = append(all, c.AssertionKeys)
	}
	if c.Upstream != nil {
		all = append(all, c.Upstream.Credentials)
		if c.Upstream.RootCAs != nil {
			all = append(all, c.Upstream.RootCAs)
		}
		if c.Upstream.EventKeys != nil {
			all = append(all, c.Upstream.EventKeys)
		}
	}
	return all
}
