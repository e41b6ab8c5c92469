package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// newKey makes a key and returns its secret.
func newKey(t *testing.T, more ...string) string {
	t.Helper()
	code, out, log := once(t, append([]string{"key", "new"}, more...)...)
	secret := strings.TrimSuffix(out, "\n")
	if code != exitOK || secret == "" || strings.ContainsAny(secret, " \n") {
		t.Fatalf("got %d, %q, %q", code, out, log)
	}
	if strings.Contains(log, secret) {
		t.Error("the secret is on standard error too")
	}
	return secret
}

func TestKeyRoundTrip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	all := newKey(t, "--name=all", "--user-id=svc", "--permission=session.read", "--permission", "session.write", "--permission=session.delete", "--file", file)
	org := newKey(t, "--name=org", "--user-id=other", "--agent-id=fp", "--permission=session.read@o1", "--file="+file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{all, org} {
		if strings.Contains(string(text), secret) {
			t.Error("the file holds the secret") // I6
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-keys-file", file}, quick()...))
	api, _ := p.ready(t)
	bearer := func(s string) []string { return []string{"Authorization", "Bearer " + s} }
	id := create(t, api, "u1", bearer(all)...)
	want(t, 200, "GET", api+"/v2/sessions/"+id, "", bearer(all)...)
	want(t, 403, "GET", api+"/v2/sessions/"+id, "", bearer(org)...)
	want(t, 401, "GET", api+"/v2/sessions/"+id, "", bearer(all+"x")...)
	want(t, 401, "GET", api+"/v2/sessions/"+id, "")
}

func TestKeysFileIsReloaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	first := newKey(t, "--name=first", "--user-id=svc", "--permission=session.read", "--file="+file)
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-keys-file", file}, quick()...))
	api, _ := p.ready(t)
	search := func(status int, secret string) {
		t.Helper()
		want(t, status, "POST", api+"/v2/sessions/search", "{}", "Authorization", "Bearer "+secret)
	}
	search(200, first)

	second := newKey(t, "--name=second", "--user-id=svc", "--permission=session.read", "--file="+file)
	search(401, second) // not yet
	p.hangup <- syscall.SIGHUP
	if got := p.logged(t, "API keys reloaded", 1)["keys"]; got != 2.0 {
		t.Errorf("got %v keys", got)
	}
	search(200, first)
	search(200, second)

	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	broken := func(n int, reason string) {
		t.Helper()
		p.hangup <- syscall.SIGHUP
		got := p.logged(t, "the API keys were not reloaded, the old ones stay", n)["error"].(string)
		if !strings.Contains(got, reason) {
			t.Errorf("got %s, want %s", got, reason)
		}
		search(200, first)
		search(200, second)
	}
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(string(good) + "- : [")
	broken(1, "YAML")
	rewrite("keys:\n- name: only\n")
	broken(2, "userId")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	broken(3, "no such file")

	rewrite("")
	broken(4, file+": the keys file has no keys")
	rewrite("keys: []\n")
	broken(5, file+": the keys file has no keys")
	rewrite("keys:\n")

	third := newKey(t, "--name=third", "--user-id=svc", "--permission=session.read", "--file="+file)
	p.hangup <- syscall.SIGHUP
	p.logged(t, "API keys reloaded", 2)
	search(401, first)
	search(200, third)
}

func TestKeyIntoAFileWithoutKeys(t *testing.T) {
	for _, text := range []string{"", "\n", "# mine\n", "keys:\n", "# mine\nkeys: # none\n"} {
		file := testfile.Write(t, text)
		for n, name := range []string{"a", "b"} {
			newKey(t, "--name="+name, "--user-id=u", "--file="+file)
			if k, err := caller.ParseAPIKeys([]byte(readDoc(t, file))); err != nil || k.Len() != n+1 {
				t.Errorf("%q: not %d keys, %v", text, n+1, err)
			}
		}
	}
}

func TestKeyFileKeepsItsMode(t *testing.T) {
	real := filepath.Join(t.TempDir(), "real.yaml")
	if err := os.WriteFile(real, []byte("# mine\nkeys:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	newKey(t, "--name=a", "--user-id=u", "--file", link)
	info, err := os.Lstat(real)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if info, err = os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if text, err := os.ReadFile(real); err != nil || !strings.HasPrefix(string(text), "# mine\nkeys:\n  - name: a\n") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestKeysMadeAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	var group sync.WaitGroup
	for _, name := range strings.Split("abcdefgh", "") {
		group.Go(func() {
			_, hash := caller.NewAPIKeySecret()
			if err := appendKey(file, caller.APIKey{Name: name, UserID: "u", SHA256: hash}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if k, err := caller.ParseAPIKeys([]byte(readDoc(t, file))); err != nil || k.Len() != 8 {
		t.Errorf("got %v, %v", k, err)
	}
}

func TestKeyFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	f := func(code int, reason string, args ...string) {
		t.Helper()
		got, out, log := once(t, append([]string{"key", "new", "--file", file}, args...)...)
		if got != code || out != "" || !strings.Contains(log, reason) {
			t.Errorf("%q: got %d, %q, %q", args, got, out, log)
		}
		if _, err := os.Stat(file); code == exitUsage && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: the file was touched: %v", args, err)
		}
	}
	f(exitUsage, "2 faults:\n  - --name is required\n  - --user-id is required")
	f(exitUsage, `cloakroom key: unknown flag "--user"; did you mean --user-id?`, "--name=a", "--user", "u")
	f(exitUsage, "permissions[0]: line 4: must be session.read, ", "--name=a", "--user-id=u", "--permission=session.reed")
	f(exitUsage, "userId: line 3: must have 1 to 200 characters", "--name=a", "--user-id="+strings.Repeat("u", 201))
	f(exitFailed, "no such file", "--name=a", "--user-id=u", "--file=/nonexistent/keys.yaml")
	if err := os.WriteFile(file, []byte("keys: nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(exitFailed, "keys: line 1: must be a list", "--name=a", "--user-id=u")
	if b, err := os.ReadFile(file); err != nil || string(b) != "keys: nonsense\n" {
		t.Errorf("the broken file was changed: %q, %v", b, err)
	}
	if err := os.WriteFile(file, []byte("keys: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(exitFailed, "without --file, and put the entry that it prints into the list", "--name=a", "--user-id=u")
	if b, err := os.ReadFile(file); err != nil || string(b) != "keys: []\n" {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
}

func TestKeyWithoutFile(t *testing.T) {
	code, out, log := once(t, "key", "new", "--name=a", "--user-id=u", "--permission=session.read@o1")
	_, entry, found := strings.Cut(log, "keys:")
	entry, _, _ = strings.Cut(entry, "\n\n")
	if code != exitOK || !found {
		t.Fatalf("got %d, %q, %q", code, out, log)
	}
	if k, err := caller.ParseAPIKeys([]byte("keys:" + entry)); err != nil || k.Len() != 1 {
		b, _ := json.Marshal(entry)
		t.Errorf("%s: %v", b, err)
	}
}
