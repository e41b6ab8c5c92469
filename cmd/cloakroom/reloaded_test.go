package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
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
	awaitAnswer(t, 200, admin+"/readyz?verbose", "files: in use as they are\n")

	mount(t, dir, "keys.yaml", "keys: []\n")
	if got := p.logged(t, "the API keys were not reloaded, the old ones stay", 1); !strings.Contains(got["error"].(string), file+": the keys file has no keys") || got["keys"] != 1.0 {
		t.Errorf("got %v", got)
	}
	search(200, old)
	awaitAnswer(t, 200, admin+"/readyz?verbose", "files: what --auth-keys-file held before is used: "+file)
	awaitAnswer(t, 200, admin+"/metrics", `cloakroom_reload_failed{setting="auth-keys-file"} 1`)

	mount(t, dir, "keys.yaml", readDoc(t, second))
	p.logged(t, "API keys reloaded", 1)
	search(401, old)
	search(200, young)
	awaitAnswer(t, 200, admin+"/readyz?verbose", "files: in use as they are\n")
	awaitAnswer(t, 200, admin+"/metrics", `cloakroom_reload_failed{setting="auth-keys-file"} 0`)
	if n := strings.Count(p.stderr.String(), "were not reloaded"); n != 1 {
		t.Errorf("the broken file is told of %d times", n)
	}
}

// Keys of assertions in a mounted Secret are followed: a second key is published, and then signs.
func TestAssertionKeysAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := testfile.SigningKey(t), testfile.SigningKey(t)
	file := mount(t, dir, "key.pem", one)
	p := launchProgram(t, &program{args: append([]string{"serve", "--redis-url=memory:", "--auth-anonymous", "--assertion-key-file", file, "--assertion-audience=shop"}, quick()...), lookEvery: 100 * time.Millisecond})
	api, admin := p.ready(t)
	published := func(keys int) (kids []string) {
		t.Helper()
		var set struct{ Keys []struct{ Kid string } }
		if err := json.Unmarshal([]byte(want(t, 200, "GET", api+"/.well-known/jwks.json", "")), &set); err != nil {
			t.Fatal(err)
		}
		for _, k := range set.Keys {
			kids = append(kids, k.Kid)
		}
		if len(kids) != keys {
			t.Errorf("published are %v, want %d", kids, keys)
		}
		return kids
	}
	first := published(1)[0]
	mount(t, dir, "key.pem", one+two)
	if got := p.logged(t, "keys of assertions reloaded", 1); got["keys"] != 2.0 || got["signs"] != first {
		t.Errorf("got %v", got)
	}
	second := published(2)[1]
	mount(t, dir, "key.pem", two+one[:40])
	if got := p.logged(t, "the keys of assertions were not reloaded, the old ones stay", 1); got["signs"] != first {
		t.Errorf("got %v", got)
	}
	awaitAnswer(t, 200, admin+"/readyz?verbose", "files: what --assertion-key-file held before is used: "+file)
	awaitAnswer(t, 200, admin+"/metrics", `cloakroom_reload_failed{setting="assertion-key-file"} 1`)
	published(2)
	mount(t, dir, "key.pem", two+one)
	if got := p.logged(t, "keys of assertions reloaded", 2); got["signs"] != second {
		t.Errorf("got %v", got)
	}
	if kids := published(2); kids[0] != second || kids[1] != first {
		t.Errorf("published are %v", kids)
	}
	if text := p.stderr.String(); strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "MC4C") {
		t.Error("I6: the log repeats a key")
	}
}
