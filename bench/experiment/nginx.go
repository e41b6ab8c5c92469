package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// nginx is an nginx of our own, which asks a program whether a request may pass.
type nginx struct {
	endpoint load.Endpoint
	cmd      *exec.Cmd
	dir      string
	said     strings.Builder
}

const (
	nginxPatience = 10 * time.Second
	nginxPoll     = 200 * time.Microsecond
)

// nginxConfig protects everything with auth_request, over connections that stay
// open. What passes is answered by nginx itself: not in the same location,
// because return comes before auth_request there.
const nginxConfig = `worker_processes 1;
daemon off;
pid %[1]s/pid;
error_log stderr notice;
events { worker_connections 512; }
http {
	access_log off;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream cloakroom { server %[2]s; keepalive 16; }
	server {
		listen unix:%[1]s/nginx;
		location / {
			auth_request /verify;
			root /nonexistent;
			try_files /nothing @application;
		}
		location @application { return 200 "passed\n"; }
		location = /verify {
			internal;
			proxy_pass http://cloakroom;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Content-Length "";
			proxy_pass_request_body off;
		}
	}
}
`

// nginxServer is how nginx writes where a program listens.
func nginxServer(e load.Endpoint) string {
	if e.Network == "unix" {
		return "unix:" + e.Address
	}
	return e.Address
}

// startNginx starts nginx in front of the program, and waits until it refuses a
// request without a token, as the program says.
func startNginx(ctx context.Context, program load.Endpoint) (*nginx, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errors.New("nginx is not on PATH")
	}
	dir, err := os.MkdirTemp("", "nginx")
	if err != nil {
		return nil, err
	}
	g := &nginx{endpoint: load.Endpoint{Network: "unix", Address: filepath.Join(dir, "nginx"), Host: "localhost"}, dir: dir}
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, nginxServer(program)), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	g.cmd = exec.CommandContext(ctx, path, "-p", dir, "-c", config, "-e", "stderr")
	g.cmd.Cancel = func() error { return g.cmd.Process.Signal(os.Interrupt) }
	g.cmd.Stderr = &g.said
	if err := g.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	wait, cancel := context.WithTimeout(ctx, nginxPatience)
	defer cancel()
	for {
		a, err := load.Fetch(wait, g.endpoint, []byte("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
		if err == nil && a.Status == 401 {
			return g, nil
		}
		if wait.Err() != nil {
			return nil, g.explain(fmt.Errorf("nginx does not refuse a request without a token: %w", cmp.Or(err, errors.New("it lets pass, or fails"))))
		}
		pauseFor(wait, nginxPoll)
	}
}

// stop ends nginx and waits for it. It may be called again.
func (g *nginx) stop() {
	_ = g.cmd.Process.Signal(os.Interrupt)
	_ = g.cmd.Wait()
	_ = os.RemoveAll(g.dir)
}

// explain ends nginx, and adds to err what it has said.
func (g *nginx) explain(err error) error {
	g.stop()
	const most = 2000
	said := strings.TrimSpace(g.said.String())
	return fmt.Errorf("%w; nginx (%v): %s", err, g.cmd.ProcessState, said[max(0, len(said)-most):])
}
