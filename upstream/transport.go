package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// connectTime is how long a connection may take to be made, and as long again its TLS.
	connectTime = 3 * time.Second
	// idleTime is how long a connection stays open that nobody uses.
	idleTime = time.Minute
	// pingAfter is how long an HTTP/2 connection may be silent before it is asked whether it still
	// works, pingTime how long that may take: all calls share it.
	pingAfter, pingTime = 10 * time.Second, 5 * time.Second
	// maxHeaderBytes bounds the headers of an answer.
	maxHeaderBytes = 64 << 10
)

// SetRootCAs lets ZITADEL's certificate come from roots from now on, nil the system's. Calls that are
// under way go on as they are; the next ones make new connections.
func (c *Client) SetRootCAs(roots *x509.CertPool) {
	if old := c.transport.Swap(newTransport(roots, c.connections)); old != nil {
		old.CloseIdleConnections()
	}
}

// newTransport makes connections for so many calls at a time. It asks for no compression: that would
// cost ZITADEL more than it saves, and bodies are passed on as they are.
func newTransport(roots *x509.CertPool, calls int) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout:    connectTime,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxConnsPerHost:        calls + 1, // and a renewal of our access token
		MaxIdleConnsPerHost:    calls + 1,
		IdleConnTimeout:        idleTime,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime},
	}
}

// ErrPlainHTTP is what is wrong with a URL that has http, if that is not allowed.
var ErrPlainHTTP = errors.New("the URL must be https: http is for loopback only, unless it is allowed")

// base is the URL that all calls begin with; its path ends without a slash.
func (c *Config) base() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL must be https://HOST, perhaps with a port and a path") // the error could repeat a password (I6)
	case u.User != nil:
		return nil, errors.New("the URL must have no user and no password")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(c.URL, "#"):
		return nil, errors.New("the URL must have no query and no fragment")
	case climbs(u.Path):
		return nil, errors.New("the URL must have no . or .. in its path")
	case u.Scheme == "http" && !c.AllowHTTP && !isLoopback(u.Hostname()):
		return nil, ErrPlainHTTP
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// isLoopback says whether a host is this machine and cannot be made another by DNS.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// checkHost looks at a Host header: a name or an address, and perhaps a port.
func checkHost(host string) error {
	if host == "" {
		return nil
	}
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" {
		return errors.New("the host must be HOST or HOST:PORT")
	}
	return nil
}

// errBadPath is the error of a call whose path is none.
var errBadPath = errors.New("the path of a call must begin with a slash, be ASCII, and have no . or .. in it")

// target is the URL of a path and query, as they stand in a request line.
func (c *Client) target(path string) (*url.URL, error) {
	ref, err := url.ParseRequestURI(path)
	if err != nil || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' }) || !strings.HasPrefix(path, "/") || climbs(ref.Path) {
		return nil, errBadPath
	}
	u := *c.base
	u.RawPath = c.base.EscapedPath() + ref.EscapedPath()
	u.Path = c.base.Path + ref.Path
	u.RawQuery = ref.RawQuery
	return &u, nil
}

// climbs says whether a path has segments that lead elsewhere.
func climbs(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
