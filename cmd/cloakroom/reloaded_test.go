package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// mount puts a file where Kubernetes mounts a Secret: behind a link that is replaced at once.
func mount(t *testing.T, dir, name, text string) (path string) {
	t.Helper()
	version, err := os.MkdirTemp(dir, "..v")
	if err == nil {
		err = os.WriteFile(filepath.Join(version, name), []byte(text), 0o600)
	}
	if err == nil {
		err = os.Symlink(filepath.Base(version), filepath.Join(dir, "..new"))
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data"))
	}
	path = filepath.Join(dir, name)
	if _, missing := os.Lstat(path); err == nil && missing != nil {
		err = os.Symlink(filepath.Join("..data", name), path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// API keys in a mounted Secret are followed without a signal; what is broken is said where operators look.
func TestKeysAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1.yaml"), filepath.Join(dir, "2.yaml")
	old := newKey(t, "--name=old", "--user-id=svc", "--permission=session.read", "--file="+first)
	young := newKey(t, "--name=young", "--user-id=svc", "--permission=session.read", "--file="+second)
	file := mount(t, dir, "keys.yaml", readDoc(t, first))
	p := launchProgram(t, &program{args: append([]string{"serve", "--redis-url=memory:", "--auth-keys-file", file}, quick()...), lookEvery: 100 * time.Millisecond})
	api, admin := p.ready(t)
	search := func(status int, secret string) {
		t.Helper()
		want(t, status, "POST", api+"/v2/sessions/search", "{}", "Authorization", "Bearer "+secret)
	}
	search(200, old)
	eventuallySays(t, 200, admin+"/readyz?verbose", "files: in use as they are\n")

	mount(t, dir, "keys.yaml", "keys: []\n")
	if got := p.logged(t, "the API keys were not reloaded, the old ones stay", 1); !strings.Contains(got["error"].(string), file+": the keys file has no keys") || got["keys"] != 1.0 {
		t.Errorf("got %v", got)
	}
	search(200, old)
	eventuallySays(t, 200, admin+"/readyz?verbose", "files: what --auth-keys-file held before is used: "+file)
	eventuallySays(t, 200, admin+"/metrics", `cloakroom_reload_failed{setting="auth-keys-file"} 1`)

	mount(t, dir, "keys.yaml", readDoc(t, second))
	p.logged(t, "API keys reloaded", 1)
	search(401, old)
	search(200, young)
	eventuallySays(t, 200, admin+"/readyz?verbose", "files: in use as they are\n")
	eventuallySays(t, 200, admin+"/metrics", `cloakroom_reload_failed{setting="auth-keys-file"} 0`)
	if n := strings.Count(p.stderr.String(), "were not reloaded"); n != 1 {
		t.Errorf("the broken file is told of %d times", n)
	}
}

// Issuers are followed with the secrets that their file names, and a file that is mended is used although another was at fault.
func TestIssuersAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const head = "issuers:\n  - issuer: https://id.example\n    audience: [a]\n    introspection: {url: https://id.example/i, client_id: me, client_secret_file: "
	write(secret, "marker-one")
	file := filepath.Join(dir, "issuers.yaml")
	write(file, head+secret+"}\n")
	c := &config{issuersFile: file}
	var wrong faults
	checkIssuers(c, &wrong)
	if err := wrong.err(); err != nil {
		t.Fatal(err)
	}
	log := newOutput()
	c.issuers.log = slog.New(slog.NewTextHandler(log, nil))
	f := func(reloaded, kept int) {
		t.Helper()
		for range 3 {
			c.issuers.look(false)
		}
		if r, k := strings.Count(log.String(), "issuers reloaded"), strings.Count(log.String(), "were not reloaded"); r != reloaded || k != kept {
			t.Errorf("%d reloads and %d faults, want %d and %d:\n%s", r, k, reloaded, kept, log)
		}
	}
	f(0, 0)
	write(secret, "marker-two")
	f(1, 0)
	write(secret, "")
	f(1, 1)
	write(secret, "marker-two")
	f(1, 1) // it is in use
	if n := strings.Count(log.String(), "good again, as they were before"); n != 1 {
		t.Errorf("told %d times that the old one is back", n)
	}
	other := filepath.Join(dir, "other")
	write(file, head+other+"}\n")
	f(1, 2)
	write(other, "marker-three") // which is not among the files of before
	f(2, 2)
	write(file, "issuers: [")
	f(2, 3)
	write(file, "issuers: [[")
	f(2, 4)
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(other, 0o600); err != nil {
		t.Fatal(err)
	}
	write(file, head+other+"}\n")
	f(2, 5) // and it does not wait for a writer
	if state := c.issuers.state(); !strings.Contains(state, other+": is no regular file") {
		t.Errorf("got %s", state)
	}
	// A secret that changes while it is used is seen by the next look.
	write(file, head+secret+"}\n")
	parse, during := c.issuers.parse, "marker-four"
	c.issuers.parse = func(read func(string) ([]byte, error)) (*oidc.Settings, error) {
		value, err := parse(read)
		write(secret, during)
		return value, err
	}
	c.issuers.look(true)
	f(4, 5)
	if strings.Contains(log.String(), "marker") {
		t.Errorf("I6: the log repeats a secret:\n%s", log)
	}
}

// Keys of a pipe are read once, and are not a fault afterwards.
func TestKeysOfAPipe(t *testing.T) {
	t.Parallel()
	k, err := openKeys(piped(t, keysWithOne), anything(t.Context(), nil))
	if err != nil {
		t.Fatal(err)
	}
	log := newOutput()
	k.logTo(slog.New(slog.NewTextHandler(log, nil)))
	for range 3 {
		k.look(false)
	}
	if k.state() != "" || k.value().Len() != 1 || strings.Count(log.String(), "was read once") != 1 || strings.Contains(log.String(), "were not") {
		t.Errorf("%s\n%s", k.state(), log)
	}
	k.look(true) // nothing is read, so nothing is reloaded
	if strings.Count(log.String(), "was read once, and is not followed") != 2 || strings.Contains(log.String(), "reloaded") {
		t.Errorf("at SIGHUP:\n%s", log)
	}
}

// Of a pair of which one half is a pipe, the other half is followed.
func TestCertificateWithAKeyOfAPipe(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	pair := bytesOf(authority.issue(time.Hour))
	files := authority.mounted(t.TempDir(), pair)
	files.key = piped(t, string(pair[1]))
	c, err := openCertificate("http", files, anything(t.Context(), nil))
	if err != nil {
		t.Fatal(err)
	}
	log := newOutput()
	c.logTo(slog.New(slog.NewTextHandler(log, nil)))
	c.look(true)
	if strings.Count(log.String(), "was read once, and is not followed") != 2 || strings.Count(log.String(), "certificate reloaded") != 1 {
		t.Errorf("%s", log)
	}
}

// A file in motion is never used, as it may be half written. If it stays in motion, that is a fault, told of once.
func TestFileThatChangesAllTheTime(t *testing.T) {
	t.Parallel()
	file := writeFile(t, keysWithOne)
	k, err := openKeys(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := newOutput()
	k.log = slog.New(slog.NewTextHandler(log, nil))
	f := func(text string, keys, lines int) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.look(false)
		if n := strings.Count(log.String(), "msg"); n != lines || k.value().Len() != keys {
			t.Fatalf("%d keys and %d lines, want %d and %d:\n%s", k.value().Len(), n, keys, lines, log)
		}
	}
	text := "keys:\n"
	for i := range 6 { // a key more at each look
		text += fmt.Sprintf("- {name: n%d, userId: u, permissions: [], sha256: %064d}\n", i, i)
		f(text, 1, i/maxChanges)
	}
	if state := k.state(); !strings.Contains(state, "the files change all the time") {
		t.Errorf("got %q", state)
	}
	f(text, 6, 2)
	if state := k.state(); state != "" {
		t.Errorf("got %q", state)
	}
	for i := range 12 { // what is bad besides is told of when it rests
		f(fmt.Sprintf("# %d\nkeys: [{}]\n", i), 6, 2+min(i/maxChanges, 1))
	}
	f("# 11\nkeys: [{}]\n", 6, 4)
	if state := k.state(); !strings.Contains(state, "userId: is missing; ") || strings.Contains(state, "\n") {
		t.Errorf("got %q, want one line", state)
	}
	f(text, 6, 5) // as before
}

// Nor does a FIFO hold a connection to Redis up, whose files are read at each.
func TestRedisFilesThatAreFIFOs(t *testing.T) {
	t.Parallel()
	fifo := newFIFO(t)
	_, password := readPassword(fifo, nil)
	_, ca := (&tlsFiles{ca: fifo}).load()
	_, cert := (&tlsFiles{cert: fifo, key: fifo}).load()
	for _, err := range []error{password, ca, cert} {
		if err == nil || !strings.Contains(err.Error(), fifo+": is no regular file, and it is read more than once") {
			t.Errorf("got %v", err)
		}
	}
}
