package load

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Endpoint is where a program listens. The zero value is nowhere.
type Endpoint struct {
	Network, Address string // as net.Dial takes them
	Host             string // of the Host header
}

// ParseEndpoint takes http://HOST:PORT or unix:PATH.
func ParseEndpoint(s string) (Endpoint, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" {
		return Endpoint{Network: "unix", Address: path, Host: "localhost"}, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return Endpoint{}, err
	case u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return Endpoint{}, fmt.Errorf("%q is neither http://HOST:PORT nor unix:PATH", s)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return Endpoint{Network: "tcp", Address: net.JoinHostPort(u.Hostname(), port), Host: u.Host}, nil
}

// Dial connects.
func (e Endpoint) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, e.Network, e.Address)
}
