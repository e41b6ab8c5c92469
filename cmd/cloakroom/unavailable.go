package main

import (
	"context"
	"net"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/rpc"
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
	asHTTP := func(forVerify bool) func(context.Context, net.Listener) error {
		return func(ctx context.Context, ln net.Listener) error {
			return httpapi.RunUnavailable(ctx, ln, forVerify, &httpapi.Config{Logger: s.log, MaxHeaderBytes: s.c.API.MaxHeaderBytes, Verify: s.c.API.Verify})
		}
	}
	asGRPC := func(ctx context.Context, ln net.Listener) error { return rpc.RunUnavailable(ctx, ln, s.log) }
	for _, l := range []struct {
		setting     string
		certificate *followed.Certificate
		run         func(context.Context, net.Listener) error
	}{{"http-addr", s.c.HTTPTLS, asHTTP(false)}, {"verify-addr", s.c.VerifyTLS, asHTTP(true)}, {"grpc-addr", s.c.GRPCTLS, asGRPC}} {
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
			return l.run(ctx, secured(lent, l.certificate))
		})
	}
	return refusing.Stop
}
