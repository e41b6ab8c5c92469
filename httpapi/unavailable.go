package httpapi

import (
	"context"
	"net"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/valyala/fasthttp"
)

// unavailableEnd is how long requests may take that are under way at the end of
// RunUnavailable.
const unavailableEnd = time.Second

// RunUnavailable answers every request on ln that the session store is
// unavailable, until ctx ends; then it returns nil. Each answer ends its
// connection. forVerify says that ln is one for RunVerify. It is for a socket that
// clients can reach before there is a Store, and that a Server goes on with. Of c
// it needs Logger, MaxHeaderBytes and Verify.HideReason.
func RunUnavailable(ctx context.Context, ln net.Listener, forVerify bool, c *Config) error {
	srv := server.New(c.Logger, server.DefaultTimeouts, c.MaxHeaderBytes)
	srv.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		server.WithoutBody(h)
		return fasthttp.RequestConfig{}
	}
	srv.Handler = func(http *fasthttp.RequestCtx) {
		if forVerify || verify.Is(http.RequestURI()) {
			verify.Unavailable(http, c.Verify.HideReason)
		} else {
			refusal.Write(http, errUnavailable)
		}
		server.CloseUnread(http)
	}
	srv.ErrorHandler = func(http *fasthttp.RequestCtx, _ error) {
		srv.Handler(http)
		server.EndUnread(http)
	}
	return server.Serve(ctx, c.Logger, srv, ln, unavailableEnd, 0, func() {})
}
