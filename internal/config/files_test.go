package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

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
	c := &Config{issuersFile: file}
	var wrong usage.Faults
	checkIssuers(c, &wrong)
	if err := wrong.Err(); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	c.Issuers.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	f := func(reloaded, kept int) {
		t.Helper()
		for range 3 {
			c.Issuers.Look(false)
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
	if state := c.Issuers.State(); !strings.Contains(state, other+": is no regular file") {
		t.Errorf("got %s", state)
	}
	// A secret that changes while it is used is seen by the next look.
	write(file, head+secret+"}\n")
	parse, during := c.Issuers.Parse, "marker-four"
	c.Issuers.Parse = func(read func(string) ([]byte, error)) (*oidc.Settings, error) {
		value, err := parse(read)
		write(secret, during)
		return value, err
	}
	c.Issuers.Look(true)
	f(4, 5)
	if strings.Contains(log.String(), "marker") {
		t.Errorf("I6: the log repeats a secret:\n%s", log)
	}
}

// Keys of a pipe are read once, and are not a fault afterwards.
func TestKeysOfAPipe(t *testing.T) {
	t.Parallel()
	k, err := openKeys(testfile.Pipe(t, testfile.OneKey), followed.Anything(t.Context(), nil))
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	k.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	for range 3 {
		k.Look(false)
	}
	if k.State() != "" || k.Value().Len() != 1 || strings.Count(log.String(), "was read once") != 1 || strings.Contains(log.String(), "were not") {
		t.Errorf("%s\n%s", k.State(), log)
	}
	k.Look(true) // nothing is read, so nothing is reloaded
	if strings.Count(log.String(), "was read once, and is not followed") != 2 || strings.Contains(log.String(), "reloaded") {
		t.Errorf("at SIGHUP:\n%s", log)
	}
}

// Of a pair of which one half is a pipe, the other half is followed.
func TestCertificateWithAKeyOfAPipe(t *testing.T) {
	t.Parallel()
	authority := tlstest.NewAuthority(t)
	pair := tlstest.Pair(authority.Issue(time.Hour))
	files := followed.CertificateFiles(authority.Mounted(t.TempDir(), pair))
	files.Key = testfile.Pipe(t, string(pair[1]))
	c, err := followed.OpenCertificate("http", files, followed.Anything(t.Context(), nil))
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	c.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	c.Look(true)
	if strings.Count(log.String(), "was read once, and is not followed") != 2 || strings.Count(log.String(), "certificate reloaded") != 1 {
		t.Errorf("%s", log)
	}
}

// A file in motion is never used, as it may be half written. If it stays in motion, that is a fault, told of once.
func TestFileThatChangesAllTheTime(t *testing.T) {
	t.Parallel()
	file := testfile.Write(t, testfile.OneKey)
	k, err := openKeys(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	k.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	f := func(text string, keys, lines int) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.Look(false)
		if n := strings.Count(log.String(), "msg"); n != lines || k.Value().Len() != keys {
			t.Fatalf("%d keys and %d lines, want %d and %d:\n%s", k.Value().Len(), n, keys, lines, log)
		}
	}
	text := "keys:\n"
	for i := range 6 { // a key more at each look
		text += fmt.Sprintf("- {name: n%d, userId: u, permissions: [], sha256: %064d}\n", i, i)
		f(text, 1, i/3)
	}
	if state := k.State(); !strings.Contains(state, "the files change all the time") {
		t.Errorf("got %q", state)
	}
	f(text, 6, 2)
	if state := k.State(); state != "" {
		t.Errorf("got %q", state)
	}
	for i := range 12 { // another fault is told of when the file rests
		f(fmt.Sprintf("# %d\nkeys: [{}]\n", i), 6, 2+min(i/3, 1))
	}
	f("# 11\nkeys: [{}]\n", 6, 4)
	if state := k.State(); !strings.Contains(state, "userId: is missing; ") || strings.Contains(state, "\n") {
		t.Errorf("got %q, want one line", state)
	}
	f(text, 6, 5) // as before
}
