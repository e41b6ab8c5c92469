package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// Every command of docs/zitadel.md is run, in order, in one shell, as a reader would: with other addresses, and a double of ZITADEL.
func TestZITADELPage_EveryCommand(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal(err)
	}
	z, redis := zitadeltest.Start(t), redistest.Start(t)
	user := zitadeltest.User{ID: z.NewID(), LoginName: "ada", Password: "Password1!"}
	z.AddUser(user)
	z.CreateSession(zitadeltest.Session{UserID: user.ID, Password: true}) // which is revoked
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pat.txt"), []byte(z.Admin.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindAllStringSubmatch(readDoc(t, "../../docs/zitadel.md"), -1)
	// What each block has to print, by a word of it.
	says := []struct{ in, want string }{
		{"cloakroom serve &", "reachable"},
		{">session.json", "\n200\n"},
		{"sleep 3", "401\n"},
		{"event.keys ||", "not set up yet"},
		{"event.keys --apply", "Done."},
		{"cloakroom sessions revoke", "revoked"},
		{"readyz?verbose", "news: known up to"},
		{"upstream status", "news           known up to"},
	}
	ports := []string{redistest.FreeAddr(t), redistest.FreeAddr(t), redistest.FreeAddr(t)}
	elsewhere := strings.NewReplacer(
		"https://zitadel.example.com", z.URL, "redis://127.0.0.1:6379/0", "redis://"+redis.Addr+"/0",
		"127.0.0.1:8080", ports[0], "127.0.0.1:8081", ports[1], "127.0.0.1:9090", ports[2],
	)
	var script strings.Builder
	fmt.Fprintf(&script, "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\nexport CLOAKROOM_HTTP_ADDR=%s CLOAKROOM_ADMIN_ADDR=%s\n", ports[0], ports[2])
	for i, b := range blocks {
		text := elsewhere.Replace(b[1])
		if strings.Contains(text, "revoke") {
			text = strings.Replace(text, "cloakroom sessions revoke", "cloakroom sessions revoke --url http://"+ports[0], 1)
		}
		fmt.Fprintf(&script, "echo '=== %d'\n%s", i, text)
		if strings.Contains(text, "serve &") { // a reader waits until it is ready
			fmt.Fprintf(&script, "until curl -sf -o /dev/null http://%s/readyz; do sleep 0.1; done\n", ports[2])
		}
	}
	cmd := exec.CommandContext(t.Context(), bash, "-c", script.String())
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + commandDir(t) + ":" + os.Getenv("PATH"), "HOME=" + dir, "LOGIN_TOKEN=" + z.Login.Token, "LOGIN_NAME=" + user.LoginName, "PASSWORD=" + user.Password, "USER_ID=" + user.ID}
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s\n%s", err, &out, &log)
	}
	printed := strings.Split(out.String(), "=== ")[1:]
	for i, b := range blocks {
		k := slices.IndexFunc(says, func(s struct{ in, want string }) bool { return strings.Contains(b[1], s.in) })
		if k < 0 {
			t.Errorf("nothing is said of what this prints: %s", b[1])
		} else if !strings.Contains(printed[i], says[k].want) {
			t.Errorf("%s\nprints\n%s\nand not %q\n%s", b[1], printed[i], says[k].want, &log)
		}
	}
	if len(blocks) != len(says) {
		t.Errorf("the page has %d blocks of commands, and %d are known", len(blocks), len(says))
	}
}
