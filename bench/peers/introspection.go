package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/valyala/fasthttp"
)

// introspection asks the issuer about every token, over connections that stay open.
type introspection struct {
	issuer *issuer.Issuer
	client fasthttp.Client
}

// issuerConnections is how many connections to the issuer there may be at a time.
const issuerConnections = 1024

func openIntrospection(i *issuer.Issuer) Gate {
	return &introspection{issuer: i, client: fasthttp.Client{MaxConnsPerHost: issuerConnections, NoDefaultUserAgentHeader: true}}
}

// Verify implements Gate.
func (g *introspection) Verify(ctx context.Context, token []byte) (*issuer.Claims, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	g.issuer.IntrospectionRequest(request, token)
	deadline, _ := ctx.Deadline()
	if err := g.client.DoDeadline(request, response, deadline); err != nil {
		return nil, err
	}
	if response.StatusCode() != fasthttp.StatusOK {
		return nil, fmt.Errorf("introspection: status %d", response.StatusCode())
	}
	var answer issuer.Introspection
	if err := json.Unmarshal(response.Body(), &answer); err != nil {
		return nil, err
	}
	if !answer.Active {
		return nil, ErrRefused
	}
	if answer.ExpiresAt == nil || !time.Now().Before(answer.ExpiresAt.Time) {
		return nil, errors.Join(ErrRefused, errors.New("it has expired"))
	}
	return &answer.Claims, nil
}

// Close implements Gate.
func (g *introspection) Close() { g.client.CloseIdleConnections() }
