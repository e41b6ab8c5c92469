package gateways

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

func command(bin string, args ...string) *exec.Cmd { return exec.Command(bin, args...) }

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// nginx is the nginx on PATH with deploy/nginx/cloakroom.conf.
type nginx struct{ with *recipe }

func (nginx) Name() string { return "nginx" }

func (g nginx) Start(t *testing.T, verify, application string) string {
	t.Helper()
	bin, addr, dir := program(t, "nginx"), redistest.FreeAddr(t), t.TempDir()
	included := g.with.deployed(t, dir, "nginx/cloakroom.conf", "listen 8000", "listen "+addr, "127.0.0.1:8081", verify, "127.0.0.1:3000", application)
	conf := filepath.Join(dir, "nginx.conf")
	// One process, so that nothing stays behind if the test dies.
	// Another server of the port, before ours, is laxer about names.
	lax := "server { listen " + addr + "; server_name lax.example; underscores_in_headers on; ignore_invalid_headers off; return 404; }"
	err := os.WriteFile(conf, []byte("daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off;\n"+
		"client_body_temp_path body 1; proxy_temp_path proxy 1; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"+lax+"\ninclude "+included+";\n}\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	check(t, bin, "-t", "-p", dir, "-c", conf, "-e", "stderr")
	t.Cleanup(func() {
		for _, name := range []string{"body", "proxy"} { // a file there leaves its directory behind
			if left, err := os.ReadDir(filepath.Join(dir, name)); err != nil || len(left) > 0 {
				t.Errorf("nginx wrote bodies to disk: %s has %v, %v", name, left, err)
			}
		}
	})
	programtest.Start(t, "nginx", "http://"+addr+"/", bin, "-p", dir, "-c", conf, "-e", "stderr")
	return addr
}

func (nginx) Status(o outcome) int {
	switch o {
	case unauthorized:
		return http.StatusUnauthorized
	case forbidden:
		return http.StatusForbidden
	default:
		return http.StatusServiceUnavailable
	}
}

// haproxy is the HAProxy on PATH with the files of deploy/haproxy.
type haproxy struct{ with *recipe }

func (haproxy) Name() string { return "HAProxy" }

func (g haproxy) Start(t *testing.T, verify, application string) string {
	t.Helper()
	bin, addr, dir := program(t, "haproxy"), redistest.FreeAddr(t), t.TempDir()
	port := portOf(t, addr)
	lua := g.with.deployed(t, dir, "haproxy/cloakroom.lua", `"abns@cloakroom"`, `"abns@cloakroom-`+port+`"`) // the name is the machine's, not the process's
	conf := g.with.deployed(t, dir, "haproxy/haproxy.cfg", "/etc/haproxy/cloakroom.lua", lua, "bind :8000", "bind "+addr,
		"abns@cloakroom", "abns@cloakroom-"+port, "127.0.0.1:8081", verify, "127.0.0.1:3000", application)
	check(t, bin, "-c", "-f", conf)
	programtest.Start(t, "haproxy", "http://"+addr+"/", bin, "-db", "-f", conf)
	return addr
}

func (haproxy) Status(o outcome) int { return nginx{}.Status(o) }

// caddy is the Caddy on PATH with deploy/caddy/Caddyfile.
type caddy struct{ with *recipe }

func (caddy) Name() string { return "Caddy" }

func (g caddy) Start(t *testing.T, verify, application string) string {
	t.Helper()
	bin, addr, dir := program(t, "caddy"), redistest.FreeAddr(t), t.TempDir()
	port := portOf(t, addr)
	conf := g.with.deployed(t, dir, "caddy/Caddyfile", "\n{\n", "\n{\n\tadmin off\n", "\n:8000 {", "\n:"+port+" {\n\tbind 127.0.0.1",
		"127.0.0.1:8081", verify, "127.0.0.1:3000", application)
	check(t, bin, "validate", "--adapter", "caddyfile", "--config", conf)
	programtest.Start(t, "caddy", "http://"+addr+"/", program(t, "env"), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir, bin, "run", "--adapter", "caddyfile", "--config", conf)
	return addr
}

func (caddy) Status(o outcome) int {
	switch o {
	case unauthorized:
		return http.StatusUnauthorized
	case forbidden:
		return http.StatusForbidden
	case down:
		return http.StatusBadGateway
	case late:
		return http.StatusGatewayTimeout
	default:
		return http.StatusServiceUnavailable
	}
}
