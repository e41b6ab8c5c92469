package main

import (
	"os"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// Redis and the files get certificates of a new authority: connections are made with them, without a restart. Files that
// cannot be used change nothing, and are logged.
func TestServe_TLSFilesForRedisAreReadAgain(t *testing.T) {
	t.Parallel()
	certificates := redistest.NewCertificates(t)
	redis := redistest.StartWith(t, redistest.Access{Certificates: certificates})
	p := launch(t, append([]string{
		"serve", "--redis-url", redis.URL(), "--auth-anonymous",
		"--redis-tls-ca-file", certificates.CA, "--redis-tls-cert-file", certificates.Cert, "--redis-tls-key-file", certificates.Key,
	}, quick()...))
	api, _ := p.ready(t)
	serves(t, api, "u1")

	certificates.Renew(t)
	redis.Restart()
	eventuallyServes(t, api, "u2")
	p.logged(t, "the TLS files for redis were read again", 1)

	good, err := os.ReadFile(certificates.CA)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, certificates.CA, "no certificate")
	redis.CutClients()
	p.logged(t, "the TLS files for redis cannot be used: connections are made with what they held before", 1)
	eventuallyServes(t, api, "u3")
	rewrite(t, certificates.CA, string(good))
	redis.CutClients()
	p.logged(t, "the TLS files for redis were read again", 2)
	eventuallyServes(t, api, "u4")
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
