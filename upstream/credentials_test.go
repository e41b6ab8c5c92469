package upstream_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

func TestCall_WithoutCredentialsOfOurs(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	c := ask(t, i.URL, func(c *upstream.Config) { c.Credentials = nil })
	if err := get(t, c); !errors.Is(err, upstream.ErrUnavailable) || !strings.Contains(err.Error(), "there are no credentials of ours") {
		t.Error(err)
	}
	if len(i.requests("")) > 0 || c.State().Refused == "" {
		t.Errorf("%+v", c.State())
	}
}

// The file is read again when it changes, by what reads all files (package followed).
func TestSetCredentials_FollowsTheFile(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	path := filepath.Join(t.TempDir(), "token")
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(pat + "\n")
	files := &followed.Files[*upstream.Credentials]{
		Setting: "upstream-token-file",
		Parse: func(read func(string) ([]byte, error)) (*upstream.Credentials, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			return upstream.ParseCredentials(text)
		},
		Done: "reloaded", Kept: "kept",
		Says: func(now *upstream.Credentials) []any { return []any{"credentials", now} },
	}
	if err := files.Open(nil); err != nil {
		t.Fatal(err)
	}
	c := ask(t, i.URL, func(c *upstream.Config) { c.Credentials = files.Value() })
	files.Then = c.SetCredentials
	files.LogTo(slog.New(slog.NewTextHandler(c.log, nil)))
	next := func(text, want string) {
		t.Helper()
		put(text)
		files.Look(true)
		if err := get(t, c); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if used := i.used(); used[len(used)-1] != want {
			t.Errorf("used %v, want %s", used, want)
		}
	}
	next(pat, pat)
	next("token-of-another", "token-of-another")
	next(oneAccount().file, "token-1")
	next("{", "token-1") // what is broken changes nothing
	next(pat, pat)
	next(oneAccount().file, "token-2")
	if text := c.log.String(); strings.Contains(text, pat) || strings.Contains(text, "token-of-another") || !strings.Contains(text, "personal access token") {
		t.Errorf("the log has\n%s", text)
	}
}

func TestParseCredentials(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, key []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: key}) }
	pkcs8, err := x509.MarshalPKCS8PrivateKey(oneAccount().key)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"abc-DEF_123.~+/=": "personal access token",
		" \n abc \r\n":     "personal access token",
		oneAccount().file:  "key of a service account",
		keyFile("serviceaccount", "k", "u", encode("PRIVATE KEY", pkcs8)): "key of a service account",
	} {
		if c := credentials(t, text); c.Kind() != want {
			t.Errorf("got %s, want %s", c.Kind(), want)
		}
	}
	for text, want := range map[string]string{
		"":                                   "the file is empty",
		" \n":                                "the file is empty",
		"secret two":                         "must have a personal access token in one line",
		"secret\nsecret":                     "must have a personal access token in one line",
		"sécret":                             "must have a personal access token in one line",
		"Bearer secret":                      "must have a personal access token in one line",
		strings.Repeat("s", 8<<10+1):         "at most 8192 bytes",
		`{"type":"serviceaccount","key":"se`: "is no JSON",
		`{"type":["secret"]}`:                "is no JSON",
		`{}`:                                 "type must be serviceaccount",
		keyFile("application", "k", "u", []byte("secret")):                                                 "type must be serviceaccount",
		keyFile("serviceaccount", "", "u", []byte("secret")):                                               "keyId must have 1 to 200 bytes",
		keyFile("serviceaccount", "k", strings.Repeat("u", 201), []byte("secret")):                         "userId must have 1 to 200 bytes",
		keyFile("serviceaccount", "k", "u", []byte("secret")):                                              "key must be an RSA private key in PEM",
		keyFile("serviceaccount", "k", "u", encode("RSA PRIVATE KEY", []byte("secret"))):                   "key must be an RSA private key in PEM",
		keyFile("serviceaccount", "k", "u", encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small))): "at least 2048 bits",
	} {
		c, err := upstream.ParseCredentials([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.60q: %v, %v", text, c, err)
		}
	}
}

func TestConfig_Check(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://id.example.com": "", "https://id.example.com:8443/z": "", "http://127.0.0.1:8080": "", "http://LOCALHOST": "", "http://[::1]": "",
		"": "https://HOST", "id.example.com": "https://HOST", "ftp://id.example.com": "https://HOST", "https://": "https://HOST", "https://:8443": "https://HOST", "https://a b": "https://HOST",
		"https://u:secret@id.example.com": "no user", "https://id.example.com?a=secret": "no query", "https://id.example.com?": "no query", "https://id.example.com/#": "no query and no fragment",
		"https://id.example.com/a/../b": "no . or ..", "http://id.example.com": "http is for loopback only", "http://localhost.example.com": "http is for loopback only",
	} {
		err := (&upstream.Config{URL: url}).Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
		if _, again := upstream.New(upstream.Config{URL: url}); want != "" && fmt.Sprint(again) != fmt.Sprint(err) {
			t.Errorf("%q: New says %v", url, again)
		}
	}
	for _, c := range []upstream.Config{
		{URL: "https://h", Host: "a/b"},
		{URL: "https://h", Host: "u@h"},
		{URL: "https://h", Host: "a b"},
		{URL: "https://h", Host: "a\r\nX: y"},
		{URL: "https://h", Host: ":1"},
		{URL: "https://h", Timeout: -1},
		{URL: "https://h", Concurrency: -1},
		{URL: "https://h", Queue: -1},
		{URL: "https://h", AnswerBytes: -1},
		{URL: "https://h", SessionBytes: -1},
	} {
		if c.Check() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if err := (&upstream.Config{URL: "http://zitadel:8080", AllowHTTP: true, Host: "id.example.com:8443"}).Check(); err != nil {
		t.Error(err)
	}
}
