package main

import "github.com/cloakroom-dev/cloakroom/upstream"

// startUpstream makes the client of the ZITADEL whose sessions are cached, if there is one.
func (s *sidecar) startUpstream() error {
	if s.c.Upstream == nil {
		return nil
	}
	c := s.c.Upstream.Client
	c.Logger, c.Metrics = s.log, s.metrics
	client, err := upstream.New(c)
	if err != nil {
		return err
	}
	s.upstream = client
	s.parts.OnStop("client of zitadel", func() error { client.Close(); return nil })
	s.c.Upstream.Credentials.Then = client.SetCredentials
	if s.c.Upstream.RootCAs != nil {
		s.c.Upstream.RootCAs.Then = client.SetRootCAs
	}
	return nil
}
