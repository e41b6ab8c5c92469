package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// maxShownURL is how much is shown of a URL that an issuer says, in bytes.
const maxShownURL = 200

// checkDiscovery reads what the issuer says of itself.
func (i *inspection) checkDiscovery(ctx context.Context) []Finding {
	needed := !i.NoKeys && i.KeysURL == ""
	said, err := i.issuer.Discover(ctx)
	if err != nil {
		f := i.unreached(err, i.DiscoveryURL, "issuer")
		if !needed {
			return []Finding{{Status: Skip, Found: "not needed, as jwks_url is configured, and not to be had: " + f.Found}}
		}
		return []Finding{f}
	}
	i.heard = said.Heard
	switch {
	case said.Issuer != i.URL && needed:
		return []Finding{fail(fmt.Sprintf("%s is that of another issuer, %s: its keys are not taken", i.DiscoveryURL, shownURL(said.Issuer)),
			remedy("issuer: %s in the issuers file, if that is the one that you mean; it is compared as it is", shownURL(said.Issuer)))}
	case said.Issuer != i.URL:
		return []Finding{{Status: Skip, Found: "not needed, as jwks_url is configured, and that of another issuer"}}
	case said.KeysFault != nil && needed:
		return []Finding{fail("its jwks_uri "+plain(said.KeysFault),
			remedy("have the issuer name its keys by an https URL, or give their URL as jwks_url in the issuers file"))}
	}
	i.said = said
	return []Finding{ok("%s is that of the issuer", i.DiscoveryURL)}
}

func shownURL(text string) string {
	if len(text) > maxShownURL {
		text = strings.ToValidUTF8(text[:maxShownURL], "") + "…"
	}
	return text
}

// unreached says why an answer to a GET of url is none. field is where the file has the URL.
func (i *inspection) unreached(err error, at, field string) Finding {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var wrong x509.CertificateInvalidError
	var record tls.RecordHeaderError
	name := at
	if u, err := url.Parse(at); err == nil {
		name = u.Host
	}
	status, answered := oidc.StatusOf(err)
	switch {
	case errors.As(err, &dns):
		return fail("the name of the host cannot be looked up: "+dns.Name, remedy("correct %s in the issuers file, or the name service of this machine: `getent hosts %s`", field, dns.Name))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail("nothing listens at "+name, remedy("start the issuer, or correct the port in %s in the issuers file", field))
	case errors.As(err, &unknown):
		return fail("the certificate of "+name+" is signed by an authority that this machine does not trust",
			remedy("add the authority's certificate to those of this machine, or name a file with it in SSL_CERT_FILE, for serve as well"))
	case errors.As(err, &host):
		return fail("the certificate of "+name+" is for other hosts", remedy("use a name in %s that the certificate has, or renew it with this one", field))
	case errors.As(err, &wrong) && wrong.Reason == x509.Expired:
		return fail("the certificate of "+name+" has expired, or is not valid yet", remedy("have the issuer's certificate renewed, or set the clock of this machine"))
	case errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fail(name+" does not speak TLS", remedy("give the port in %s that speaks TLS; plain http is for loopback, unless allow_http is true", field))
	case answered && status == http.StatusNotFound:
		return fail("there is nothing at "+at, remedy("`curl -f %s` must show the document: correct %s in the issuers file, or what stands before the issuer", at, field))
	case answered:
		return fail(fmt.Sprintf("%s answers %d", at, status), remedy("the issuer's log says why, or that of the proxy before it: `curl -f %s` must show the document", at))
	case isTimeout(err):
		return fail(fmt.Sprintf("no answer from %s within %v", name, checkTimeout), remedy("the issuer hangs, or something on the way drops packets, or must be told of by HTTPS_PROXY: `curl -f %s`", at))
	}
	return fail("no answer that counts: "+plain(err), remedy("have it answer 200 and at most 256 KiB of JSON, without a redirect, at %s; or correct %s in the issuers file", at, field))
}
