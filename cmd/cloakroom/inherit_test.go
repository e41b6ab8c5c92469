package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// activate runs the program as systemd does, with sockets that are called as names says.
func activate(t *testing.T, names string, sockets []*os.File, args ...string) *exec.Cmd {
	t.Helper()
	self := selfCommand(t, args...)
	cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`}, self.Args...)...)
	cmd.Env = append(self.Env, fmt.Sprint("LISTEN_FDS=", len(sockets)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = sockets
	return cmd
}

func TestInheritedSockets(t *testing.T) {
	t.Parallel()
	api, apiAddr := testfile.Socket(t, "tcp", "127.0.0.1:0")
	verify, verifyAddr := testfile.Socket(t, "unix", shortDir(t)+"/verify")
	log := newOutput()
	// --http-addr is what an image sets in its environment: the sockets go over it.
	cmd := activate(t, "verify:http", []*os.File{verify, api}, "serve", "--redis-url=memory:", "--auth-anonymous", "--http-addr=0.0.0.0:8080", "--admin-addr=127.0.0.1:0")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	line := (&cloakroom{stderr: log}).logged(t, "ready", 1)
	if line["http"] != apiAddr.String() || line["verify"] != "unix:"+verifyAddr.String() {
		t.Errorf("got %v", line)
	}
	if told := "--http-addr 0.0.0.0:8080 is not used: the service manager's socket http listens on " + apiAddr.String(); !strings.Contains(log.String(), told) {
		t.Errorf("no warning %q", told)
	}
	if strings.Contains(log.String(), "--verify-addr") {
		t.Error("a warning of a setting that was not given")
	}
	want(t, 200, "GET", "http://"+apiAddr.String()+"/version", "")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(verifyAddr.String()); err != nil {
		t.Errorf("the socket is the service manager's: %v", err)
	}
}

// TestInheritedSockets_WithoutRedis starts without Redis: who connects to the sockets is told, and need not wait for it. Once it
// is there, the same sockets serve, and nobody is refused in between.
func TestInheritedSockets_WithoutRedis(t *testing.T) {
	t.Parallel()
	api, apiAddr := testfile.Socket(t, "tcp", "127.0.0.1:0")
	verify, verifyAddr := testfile.Socket(t, "unix", shortDir(t)+"/verify")
	grpc, grpcAddr := testfile.Socket(t, "tcp", "127.0.0.1:0")
	redis := redistest.Start(t)
	proxy := redistest.NewProxy(t, redis.Addr)
	proxy.Stall(true)
	log := newOutput()
	cmd := activate(t, "http:verify:grpc", []*os.File{api, verify, grpc}, "serve", "--redis-url=redis://"+proxy.Addr, "--auth-anonymous", "--admin-addr=127.0.0.1:0")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	overSocket := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", verifyAddr.String())
	}}}
	answer := func(client *http.Client, method, url, body string) (int, http.Header, string) {
		t.Helper()
		r, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header, string(text)
	}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + apiAddr.String()
	for _, path := range []string{"/v2/sessions/1", "/v2/sessions/search"} {
		status, h, body := answer(fresh, "POST", url+path, `{"a":1}`)
		if status != 503 || h.Get("Retry-After") != "1" || body != `{"code":14,"message":"the session store is unavailable"}` {
			t.Errorf("%s: status %d, %v, %s", path, status, h, body)
		}
	}
	for client, url := range map[*http.Client]string{overSocket: "http://verify/x", fresh: url + "/verify"} {
		if status, h, body := answer(client, "GET", url, ""); status != 503 || h.Get("X-Auth-Reason") != "store_unavailable" {
			t.Errorf("%s: status %d, %v, %s", url, status, h, body)
		}
	}
	const call = "/zitadel.session.v2.SessionService/ListSessions"
	if status, _, body := answer(fresh, "POST", "http://"+grpcAddr.String()+call, "{}"); status != 503 || body != `{"code":"unavailable","message":"the session store is unavailable"}` {
		t.Errorf("gRPC: status %d: %s", status, body)
	}
	proxy.Stall(false)
	for {
		status, h, _ := answer(overSocket, "GET", "http://verify/x", "")
		if status == 401 {
			break
		}
		if status != 503 {
			t.Fatalf("status %d, %v", status, h)
		}
	}
	if status, _, body := answer(fresh, "POST", url+"/v2/sessions/search", "{}"); status != 200 {
		t.Errorf("status %d: %s", status, body)
	}
	if status, _, body := answer(fresh, "POST", "http://"+grpcAddr.String()+call, "{}"); status != 200 {
		t.Errorf("gRPC: status %d: %s", status, body)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, log)
	}
}

func TestInheritedSocketsAreChecked(t *testing.T) {
	t.Parallel()
	open, _ := testfile.Socket(t, "tcp", "0.0.0.0:0")
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	udp, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	f := func(want, names string, sockets ...*os.File) {
		t.Helper()
		out, err := activate(t, names, sockets, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...)...).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != exitUsage || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %v, %s, want %s", names, err, out, want)
		}
	}
	f("--auth-anonymous is refused because --http-addr ", "http", open)
	f(`LISTEN_FDNAMES: "cloakroom.socket" is not http, verify, grpc or admin`, "cloakroom.socket", open)
	f("LISTEN_FDNAMES: there are two sockets called http", "http:http", open, open)
	f("LISTEN_FDS must be the number of names in LISTEN_FDNAMES", "http", open, open)
	f("LISTEN_FDS: the socket verify: ", "verify", file)
	f("LISTEN_FDS: the socket verify: nobody listens there", "verify", udp)
	packet, _ := testfile.Socket(t, "unixpacket", shortDir(t)+"/s")
	f("LISTEN_FDS: the socket verify: it is no stream socket", "verify", packet)
	f("LISTEN_FDNAMES is missing", "", open)
	for told, env := range map[string][]string{
		"LISTEN_PID is another process": {"LISTEN_FDS=1", "LISTEN_PID=1"},
		"LISTEN_PID is missing":         {"LISTEN_FDS=1"},
	} {
		if _, warning := listen.Inherit(env, &usage.Faults{}); !strings.Contains(warning, told) {
			t.Errorf("got %q, want %s", warning, told)
		}
	}
}

func TestReusePortIsChecked(t *testing.T) {
	for _, url := range []string{"memory:", "embedded:"} {
		code, _, log := once(t, "serve", "--redis-url="+url, "--auth-anonymous", "--reuse-port")
		if code != exitUsage || !strings.Contains(log, "--reuse-port needs a Redis that both processes can reach, not "+url) {
			t.Errorf("%s: got %d, %s", url, code, log)
		}
	}
	code, _, log := once(t, "serve", "--redis-url=redis://127.0.0.1:1/0", "--auth-anonymous", "--reuse-port", "--verify-addr=unix:/tmp/verify")
	if code != exitUsage || !strings.Contains(log, "--reuse-port shares ports, and --verify-addr is unix:/tmp/verify") {
		t.Errorf("unix socket: got %d, %s", code, log)
	}
}
