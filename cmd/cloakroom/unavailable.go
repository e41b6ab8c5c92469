package main

import (
	"context"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
)

// storePatience is how long a client that has connected waits for the first
// answer of Redis, as it does for any other.
const storePatience = time.Second

// refuseMeanwhile answers 503 on the sockets of the service manager after
// storePatience, until stop is called. Clients can connect to them before there is
// a store, and would wait as long as Redis is away. To addresses that are ours they
// cannot, and can ask another process.
func (s *sidecar) refuseMeanwhile() (stop func() error) {
	refusing := parts.New()
	for _, l := range []struct {
		setting     string
		verify      bool
		certificate *followed.Certificate
	}{{"http-addr", false, s.c.HTTPTLS}, {"verify-addr", true, s.c.VerifyTLS}} {
		lent, ok := listen.Lend(s.c.Listen.Inherited[l.setting])
		if !ok {
			continue
		}
		refusing.OnStop(l.setting, lent.GiveBack)
		refusing.Start(l.setting, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(storePatience):
			}
			return httpapi.RunUnavailable(ctx, secured(lent, l.certificate), l.verify, &httpapi.Config{
				Logger: s.log, MaxHeaderBytes: s.c.API.MaxHeaderBytes, Verify: s.c.API.Verify,
			})
		})
	}
	return refusing.Stop
}
