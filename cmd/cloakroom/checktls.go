package main

// checkTLS reads the certificates of the listeners.
func checkTLS(c *config, wrong *faults) {
	if !c.good("http-tls-cert-file", "http-tls-key-file", "http-tls-client-ca-file", "verify-tls-cert-file", "verify-tls-key-file", "verify-addr") {
		return
	}
	before := len(*wrong)
	for _, l := range []struct {
		name  string
		files certificateFiles
	}{{"http", c.httpTLSFiles}, {"verify", c.verifyTLSFiles}} {
		if (l.files.cert == "") != (l.files.key == "") {
			wrong.addf("--%[1]s-tls-cert-file and --%[1]s-tls-key-file must both be set, or neither", l.name)
		}
	}
	ca := c.httpTLSFiles.clientCA
	if ca != "" && c.httpTLSFiles.cert == "" && c.verifyTLSFiles.cert == "" {
		wrong.addf("--http-tls-client-ca-file needs a listener with TLS: set --http-tls-cert-file and --http-tls-key-file")
	}
	if c.verifyTLSFiles.cert != "" && c.listen.verify == "" {
		wrong.addf("--verify-tls-cert-file needs a listener: set --verify-addr")
	}
	if len(*wrong) > before {
		return
	}
	open := func(name string, files certificateFiles) *certificate {
		if files.cert == "" {
			return nil
		}
		files.clientCA = ca
		opened, err := openCertificate(name, files, c.pipes)
		if err != nil {
			wrong.addf("--%s-tls-cert-file: %v", name, err)
		}
		return opened
	}
	c.httpTLS = open("http", c.httpTLSFiles)
	switch {
	case c.verifyTLSFiles.cert != "":
		c.verifyTLS = open("verify", c.verifyTLSFiles)
	case c.httpTLS != nil && c.listen.verify != "" && !loopback(c.listen.verify):
		c.verifyTLS = open("verify", c.httpTLSFiles)
	}
}

// certificates are those of all listeners.
func (c *config) certificates() (all []*certificate) {
	for _, cert := range []*certificate{c.httpTLS, c.verifyTLS} {
		if cert != nil {
			all = append(all, cert)
		}
	}
	return all
}

// reloaders are those of all settings that have files.
func (c *config) reloaders() (all []reloader) {
	for _, cert := range c.certificates() {
		all = append(all, cert)
	}
	if c.apiKeys != nil {
		all = append(all, c.apiKeys)
	}
	if c.issuers != nil {
		all = append(all, c.issuers)
	}
	return all
}
