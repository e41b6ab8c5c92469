package main

import (
	"net"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
)

// startTLS warns of certificates that end.
func (s *sidecar) startTLS() {
	for _, c := range s.c.certificates() {
		c.registerTLS(s.metrics)
		s.parts.start("certificate of the "+c.listener+" listener", c.Run)
	}
}

// secured lets ln speak TLS, if c is not nil.
func secured(ln net.Listener, c *certificate) net.Listener {
	if c == nil {
		return ln
	}
	return &server.TLSListener{Listener: ln, Config: c.config(), Failed: c.failed.Inc}
}
