package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// endpoint is where a program listens.
type endpoint struct {
	network, address string
	host             string // of the Host header
}

// parseEndpoint takes http://HOST:PORT or unix:PATH.
func parseEndpoint(s string) (endpoint, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" {
		return endpoint{network: "unix", address: path, host: "localhost"}, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return endpoint{}, err
	case u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return endpoint{}, fmt.Errorf("%q is neither http://HOST:PORT nor unix:PATH", s)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return endpoint{network: "tcp", address: net.JoinHostPort(u.Hostname(), port), host: u.Host}, nil
}

func (e endpoint) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, e.network, e.address)
}
