package followed

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/prometheus/client_golang/prometheus"
)

// A change is seen without a signal, once whole; what is bad is told once.
func TestCertificateFollowsItsFiles(t *testing.T) {
	a := tlstest.NewAuthority(t)
	dir := t.TempDir()
	files := CertificateFiles(a.Mounted(dir, tlstest.Pair(a.Issue(time.Hour))))
	c, err := OpenCertificate("http", files, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	c.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	lines := func(want int, message string) {
		t.Helper()
		if n := strings.Count(log.String(), message); n != want {
			t.Errorf("%d times %q, want %d:\n%s", n, message, want, log)
		}
	}
	until := c.Value().until
	c.Look(false)
	lines(0, "reloaded")

	// In place, the certificate first: not told, because the key may come yet.
	cert, key := a.Issue(2 * time.Hour)
	if err := os.WriteFile(files.Cert, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Look(false)
	lines(0, "msg")
	if err := os.WriteFile(files.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Look(false)
	lines(0, "msg") // it may not be whole
	c.Look(false)
	lines(1, "TLS certificate reloaded")
	if !c.Value().until.After(until) {
		t.Error("the old one is still served")
	}

	for _, broken := range [][2][]byte{tlstest.Pair(cert, nil), tlstest.Pair([]byte("secret-text"), key), tlstest.Pair(bytes.Repeat([]byte("x"), maxFile+1), key)} {
		before := strings.Count(log.String(), "was not reloaded")
		a.Mounted(dir, broken)
		for range 4 {
			c.Look(false)
		}
		lines(before+1, "was not reloaded")
	}
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		c.Look(false)
	}
	lines(4, "was not reloaded")
	if strings.Contains(log.String(), "secret-text") {
		t.Error("I6: the log repeats a file")
	}
	a.Mounted(dir, tlstest.Pair(cert, key)) // what is served already
	c.Look(false)
	lines(4, "was not reloaded")
	lines(1, "TLS certificate reloaded")
}

func TestCertificateWarns(t *testing.T) {
	a := tlstest.NewAuthority(t)
	c, err := OpenCertificate("http", CertificateFiles(a.Mounted(t.TempDir(), tlstest.Pair(a.Issue(2*time.Hour)))), nil) // of three
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	c.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	f := func(soon, over int, left time.Duration) {
		t.Helper()
		for range 2 {
			c.warn(c.Value().until.Add(-left))
		}
		if s, o := strings.Count(log.String(), "expires soon"), strings.Count(log.String(), "has expired"); s != soon || o != over {
			t.Errorf("%v left: got %d and %d lines, want %d and %d", left, s, o, soon, over)
		}
	}
	f(0, 0, 61*time.Minute)
	f(1, 0, 59*time.Minute)
	f(1, 1, 0)
	f(1, 1, -time.Hour)
	registry := prometheus.NewRegistry()
	c.RegisterTLS(registry)
	if families, err := registry.Gather(); err != nil || len(families) != 2 {
		t.Errorf("got %v, %v", families, err)
	}
}
