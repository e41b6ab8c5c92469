package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// onceWith is once with more environment.
func onceWith(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = run(t.Context(), args, env, &out, &log, nil)
	return code, out.String(), log.String()
}

// serveOpen starts a sidecar that asks for no credentials.
func serveOpen(t *testing.T) (api, admin string) {
	t.Helper()
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...))
	return p.ready(t)
}

func TestRevokeCommand(t *testing.T) {
	api, _ := serveOpen(t)
	for range 3 {
		create(t, api, "alice")
	}
	mine := create(t, api, "alice")
	create(t, api, "bob")
	f := func(code int, out, log string, args ...string) {
		t.Helper()
		gotCode, gotOut, gotLog := once(t, append([]string{"sessions", "revoke", "--url", api}, args...)...)
		if gotCode != code || gotOut != out || gotLog != log {
			t.Errorf("%q: got %d, %q, %q, want %d, %q, %q", args, gotCode, gotOut, gotLog, code, out, log)
		}
	}
	left := func(want string) {
		t.Helper()
		if n := total(t, api, "{}"); n != want {
			t.Errorf("%s sessions are left, want %s", n, want)
		}
	}
	f(exitOK, "3 sessions of user alice, except session "+mine+" would be revoked\n", "", "--user-id=alice", "--except-id="+mine, "--dry-run")
	f(exitUsage, "", "cloakroom sessions revoke: 3 sessions of user alice, except session "+mine+" would be revoked, but there is no terminal to ask on; nothing was revoked; say --yes to revoke without being asked\n",
		"--user-id=alice", "--except-id="+mine)
	left("5")
	f(exitOK, "3 sessions revoked\n", "", "--user-id=alice", "--except-id="+mine, "--yes")
	left("2")
	f(exitOK, "there is nothing to revoke: no session of user alice, except session "+mine+"\n", "", "--user-id=alice", "--except-id="+mine)
	f(exitOK, "2 sessions that the caller may delete would be revoked\n", "", "--all", "--dry-run")
	f(exitOK, "1 session revoked\n", "", "--all", "--except-id", mine, "--yes")
	left("1")
	want(t, http.StatusOK, "GET", api+"/v2/sessions/"+mine, "")
}

// Each flag asks for what it says.
func TestRevokeCommandFlags(t *testing.T) {
	api, _ := serveOpen(t)
	put := func(id, body string) {
		t.Helper()
		want(t, http.StatusCreated, "PUT", api+"/v2/sessions/"+id, body)
	}
	put("a", `{"creator":"gateway","creationDate":"2026-01-01T00:00:00Z","expirationDate":"2090-01-01T00:00:00Z","factors":{"user":{"id":"alice"}},"userAgent":{"fingerprintId":"fp"}}`)
	put("b", `{"creator":"gateway","creationDate":"2026-01-02T00:00:00Z","factors":{"user":{"id":"bob b"}},"userAgent":{"fingerprintId":"fp"}}`)
	put("c", `{"creator":"mirror","creationDate":"2026-01-03T00:00:00Z","expirationDate":"2091-01-01T00:00:00Z","factors":{"user":{"id":"alice"}}}`)
	f := func(said string, args ...string) {
		t.Helper()
		code, out, log := once(t, append([]string{"sessions", "revoke", "--dry-run", "--url=" + api + "/"}, args...)...)
		if code != exitOK || log != "" || strings.TrimSpace(out) != said {
			t.Errorf("%q: got %d, %q, %q, want %q", args, code, out, log, said)
		}
	}
	f("2 sessions of user alice would be revoked", "--user-id=alice")
	f(`1 session of user "bob b" would be revoked`, "--user-id=bob b")
	f("2 sessions of user agent fp would be revoked", "--agent-id=fp")
	f("1 session created by mirror would be revoked", "--creator-id=mirror")
	f("1 session with the ID b would be revoked", "--id=b")
	f("2 sessions with one of 3 IDs would be revoked", "--id=b", "--id=none", "--id=c")
	f("1 session created before 2026-01-02T00:00:00Z would be revoked", "--created-before=2026-01-02T00:00:00Z")
	f("1 session created after 2026-01-02T01:00:00+01:00 would be revoked", "--created-after=2026-01-02T01:00:00+01:00")
	f("1 session ending before 2090-06-01T00:00:00Z would be revoked", "--expires-before=2090-06-01T00:00:00Z")
	f("2 sessions ending after 2090-06-01T00:00:00Z or never would be revoked", "--expires-after=2090-06-01T00:00:00Z")
	f("1 session ending before 2090-06-01T00:00:00Z ending after 2026-01-01T00:00:00Z would be revoked", "--expires-before=2090-06-01", "--expires-after=2026-01-01")
	f("1 session of user alice of user agent fp created after 2025-01-01T00:00:00Z would be revoked", "--user-id=alice", "--agent-id=fp", "--created-after=2025-01-01T00:00:00Z")
	f("1 session that the caller may delete, except 2 sessions would be revoked", "--all", "--except-id=a", "--except-id=b")
	if n := total(t, api, "{}"); n != "3" {
		t.Errorf("%s sessions are left", n)
	}
}

func TestRevokeCommandFaults(t *testing.T) {
	f := func(reason string, args ...string) {
		t.Helper()
		code, out, log := once(t, append([]string{"sessions", "revoke", "--url=http://127.0.0.1:1"}, args...)...)
		if code != exitUsage || out != "" || !strings.Contains(log, reason) {
			t.Errorf("%q: got %d, %q, %q, want %q", args, code, out, log, reason)
		}
	}
	f("say which sessions")
	f("say which sessions", "--yes", "--except-id=x")
	f("--user-id has an empty value", "--user-id=")
	f("--id has an empty value", "--id", "x", "--id", "")
	f("--except-id has an empty value", "--all", "--except-id=")
	f("--user-id is given 2 times", "--user-id=a", "--user-id=b")
	f("--created-before must be an instant (", "--created-before=yesterday")
	f("2 faults", "--created-before=yesterday", "--expires-after=tomorrow")
	f("--all cannot be given together", "--all", "--user-id=a")
	f(`unknown flag "--user"`, "--user", "a")
	f("argument 2 is no flag, and nothing else is taken", "alice")
	f("--except-id may be given 1000 times at most", append([]string{"--all"}, strings.Split(strings.Repeat("--except-id=x ", 1001), " ")[:1001]...)...)
	for _, url := range []string{"127.0.0.1:8080", "ftp://x", "http://", "unix:", "http://user:pass@host", "http://host?x=1", "http://host#x", "\x7f"} {
		code, _, log := once(t, "sessions", "revoke", "--all", "--url", url)
		if code != exitUsage || !strings.Contains(log, "--url must be http://HOST:PORT") || strings.Contains(log, "pass") {
			t.Errorf("--url %q: got %d, %q", url, code, log)
		}
	}
}

// The key comes from a file or the environment, and is never shown. (I6)
func TestI6_RevokeCommandKeepsTheKey(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	secret := newKey(t, "--name=all", "--user-id=svc", "--permission=session.read", "--permission=session.write", "--permission=session.delete", "--file="+keys)
	other := newKey(t, "--name=other", "--user-id=svc2")
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-keys-file", keys}, quick()...))
	api, _ := p.ready(t)
	f := func(code int, says string, env []string, args ...string) {
		t.Helper()
		create(t, api, "u1", "Authorization", "Bearer "+secret)
		got, out, log := onceWith(t, env, append([]string{"sessions", "revoke", "--url", api, "--user-id=u1", "--yes"}, args...)...)
		if got != code || !strings.Contains(out+log, says) {
			t.Errorf("%q: got %d, %q, %q, want %q", args, got, out, log, says)
		}
		for _, s := range []string{secret, other} {
			if strings.Contains(out+log, s) {
				t.Errorf("%q: the key is shown", args)
			}
		}
	}
	f(exitFailed, "401: auth header missing; give an API key with --key-file, or in CLOAKROOM_API_KEY", nil)
	f(exitFailed, "401: invalid token; the API key is not among those of this sidecar", []string{"CLOAKROOM_API_KEY=" + other})
	f(exitOK, "3 sessions revoked", []string{"CLOAKROOM_API_KEY=" + secret})
	f(exitOK, "1 session revoked", []string{"CLOAKROOM_API_KEY=" + other}, "--key-file", testfile.Write(t, secret+"\n"))
	f(exitUsage, "is empty", []string{"CLOAKROOM_API_KEY=" + secret}, "--key-file", testfile.Write(t, "\n"))
	f(exitUsage, "must have an API key and nothing else", nil, "--key-file", testfile.Write(t, "key: "+secret))
	f(exitUsage, "must have an API key and nothing else", nil, "--key-file", testfile.Write(t, strings.Repeat("x", 4<<10+1)))
	f(exitUsage, "must have an API key and nothing else", []string{"CLOAKROOM_API_KEY=" + secret + "\r\nX: y"})
	f(exitUsage, "no such file", nil, "--key-file=/nonexistent/key")
	f(exitUsage, `unknown flag "--key"`, nil, "--key="+secret)
	if log := p.stderr.String(); strings.Contains(log, secret) || strings.Contains(log, "CLOAKROOM_API_KEY") {
		t.Error("the sidecar logs the key")
	}
	if line := p.logged(t, "write", 4); line["call"] == "" {
		t.Errorf("%v", line)
	}
}

// A sidecar that is started with the key in its environment has no complaint.
func TestServeKnowsTheKeysVariable(t *testing.T) {
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...), "CLOAKROOM_API_KEY=x")
	p.ready(t)
	if log := p.stderr.String(); strings.Contains(log, "CLOAKROOM_API_KEY") {
		t.Error(log)
	}
}

func TestRevokeCommandOverUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, []string{"serve", "--redis-url=memory:", "--auth-anonymous", "--http-addr=unix:" + socket, "--admin-addr=127.0.0.1:0", "--log-format=json"})
	p.logged(t, "ready", 1)
	code, out, log := once(t, "sessions", "revoke", "--all", "--url=unix:"+socket)
	if code != exitOK || !strings.HasPrefix(out, "there is nothing to revoke") || log != "" {
		t.Errorf("got %d, %q, %q", code, out, log)
	}
	code, out, log = once(t, "sessions", "revoke", "--all", "--url=unix:"+socket+"2")
	if code != exitFailed || out != "" || !strings.Contains(log, "cannot reach a sidecar at unix:"+socket+"2: ") {
		t.Errorf("got %d, %q, %q", code, out, log)
	}
}

// What is wrong at the other end is said with what to do about it.
func TestRevokeCommandErrors(t *testing.T) {
	_, admin := serveOpen(t)
	f := func(says, url string) {
		t.Helper()
		code, out, log := once(t, "sessions", "revoke", "--all", "--yes", "--url", url)
		if code != exitFailed || out != "" || !strings.Contains(log, says) || strings.ContainsAny(log, "\x1b\r") {
			t.Errorf("%s: got %d, %q, %q, want %q", url, code, out, log, says)
		}
	}
	answer := func(status int, body string) string {
		t.Helper()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	f("answered 405: Method Not Allowed; is it the address of the API, not that of the admin listener", admin)
	f("cannot reach a sidecar at http://127.0.0.1:1: ", "http://127.0.0.1:1")
	f("answered 404: Not Found; is it the address of the API", answer(404, `{"code":5,"message":"Not Found"}`))
	f("answered 429: at most 4; try again later", answer(429, `{"code":8,"message":"at most 4"}`))
	f("answered 503: away; run the same again once Redis is back", answer(503, `{"code":14,"message":"away"}`))
	f("answered 503: zitadel is unavailable: away; run the same again once ZITADEL is back", answer(503, `{"code":14,"message":"zitadel is unavailable: away"}`))
	f("answered 502: 1 sessions are left; let the account of --upstream-token-file delete these sessions", answer(502, `{"code":9,"message":"1 sessions are left"}`))
	f("answered 400: bad [31mred", answer(400, `{"code":3,"message":"bad \u001b[31mred\r"}`))
	f("answered 302, not as cloakroom does", answer(302, ""))
	f("did not answer as cloakroom does", answer(200, "hello"))
	f("did not answer as cloakroom does", answer(200, `{"revoked":"-1"}`))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	f("nothing was revoked", "http://"+ln.Addr().String())

	// The connection breaks after the count: what has been done is not known.
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked apiclient.Revocation
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		if !asked.DryRun {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, `{"revoked":"7"}`)
	}))
	defer broken.Close()
	f("some sessions may be revoked: run the same again to revoke the rest", broken.URL)
}
