package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/spf13/pflag"
)

const (
	// healthTimeout is above readiness.PingTimeout, so that the answer can come.
	healthTimeout = 2 * time.Second
	// healthAnswer is the most that is read of an answer, in bytes.
	healthAnswer = 4 << 10
)

const healthHelp = `Usage: cloakroom health [flags]

Asks /readyz of a cloakroom on this machine: exit code 0 if requests are
served, 1 and the reason if not. For containers, which have no curl.

  --admin-addr  its admin listener, as serve has it; also CLOAKROOM_ADMIN_ADDR;
                default 127.0.0.1:9090
`

// health is the subcommand: it asks a running cloakroom whether it is ready.
func health(ctx context.Context, p *program) error {
	addr, err := config.AdminAddr(p.args, p.env)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.stdout, healthHelp)
		return err
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	return askReady(ctx, addr)
}

// askReady asks /readyz at addr, HOST:PORT or unix:PATH. The Host is that of
// loopback, which the admin listener takes anywhere.
func askReady(ctx context.Context, addr string) error {
	network, to := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, to = "unix", path
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/readyz", nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("no answer at %s: %w", addr, err)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, healthAnswer))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return fmt.Errorf("no answer at %s: %w", addr, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%d: %s", res.StatusCode, strings.TrimSpace(string(answer)))
	}
	return nil
}
