package main

import (
	"net"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
)

// startTLS warns of certificates that end.
func (s *sidecar) startTLS() {
	for _, c := range s.c.Certificates() {
		c.RegisterTLS(s.metrics)
		s.parts.Start("certificate of the "+c.Listener+" listener", c.Run)
	}
}

// secured lets ln speak TLS, if c is not nil.
func secured(ln net.Listener, c *followed.Certificate) net.Listener {
	if c == nil {
		return ln
	}
	return &server.TLSListener{Listener: ln, Config: c.Config(), Failed: c.Failed.Inc}
}
