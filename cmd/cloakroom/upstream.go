package main

import (
	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
)

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

// startNews follows what happens at the ZITADEL, if there is one.
func (s *sidecar) startNews(store *cache.Store) {
	if s.upstream == nil {
		return
	}
	s.news = news.New(news.Config{
		Store: store, Search: s.upstream.Events, Every: s.c.Upstream.Poll, MaxAgeProven: s.c.Upstream.MaxAgeProven,
		Ties: s.c.Store.JWTs, Logger: s.log, Metrics: s.metrics,
	})
	s.parts.Start("news of zitadel", s.news.Run)
}
