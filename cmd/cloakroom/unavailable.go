package main

import (
	"context"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi"
)

// storePatience is how long a client that has connected waits for the first
// answer of Redis, as it does for any other.
const storePatience = time.Second

// refuseMeanwhile answers 503 on the sockets of the service manager after
// storePatience, until stop is called. Clients can connect to them before there is
// a store, and would wait as long as Redis is away. To addresses that are ours they
// cannot, and can ask another process.
func (s *sidecar) refuseMeanwhile() (stop func() error) {
	refusing := newParts()
	for _, l := range []struct {
		setting     string
		verify      bool
		certificate *certificate
	}{{"http-addr", false, s.c.httpTLS}, {"verify-addr", true, s.c.verifyTLS}} {
		lent, ok := lend(s.c.listen.inherited[l.setting])
		if !ok {
			continue
		}
		refusing.onStop(l.setting, lent.giveBack)
		refusing.start(l.setting, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(storePatience):
			}
			return httpapi.RunUnavailable(ctx, secured(lent, l.certificate), l.verify, &httpapi.Config{
				Logger: s.log, MaxHeaderBytes: s.c.api.MaxHeaderBytes, Verify: s.c.api.Verify,
			})
		})
	}
	return refusing.stop
}
