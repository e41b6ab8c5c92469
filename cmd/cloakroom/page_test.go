package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// typed is a page of docs/ whose commands a test types.
type typed struct {
	file string
	dir  string // where the shell is
	// instead are commands that are replaced: each old text, which must occur, and a new one.
	instead []string
	// ports are those of the page, which others may have taken: each has a free one in its place.
	ports []string
	env   []string
}

// page prepares a page: bin/cloakroom is the program, and deploy is as in the repository.
func page(t *testing.T, file string, ports ...string) *typed {
	t.Helper()
	p := &typed{file: file, dir: t.TempDir(), ports: ports}
	self, err := os.Executable()
	if err == nil {
		err = os.Mkdir(filepath.Join(p.dir, "bin"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(p.dir, "bin", "cloakroom"), fmt.Appendf(nil, "#!/bin/sh\nexec env %s=1 %q \"$@\"\n", asProgram, self), 0o700)
	}
	if err == nil {
		err = os.CopyFS(filepath.Join(p.dir, "deploy"), os.DirFS(deployments))
	}
	if err != nil {
		t.Fatal(err)
	}
	// Debian keeps nginx off the PATH of users.
	p.env = []string{"PATH=" + filepath.Join(p.dir, "bin") + ":" + os.Getenv("PATH") + ":/usr/sbin", "HOME=" + p.dir}
	return p
}

// fenced finds the blocks of a page: those of commands, and those of what the commands before them print.
var fenced = regexp.MustCompile("(?s)\n```(sh|text)\n(.*?)\n```\n")

// changing is what differs from one run to the next: dates, tokens, IDs, hashes, and IDs without their session.
var changing = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\b\d{19}(\.[\w-]{43})?\b`)

// steps are the blocks of commands, each with what the page says that they print.
func (p *typed) steps(t *testing.T) (commands, prints []string) {
	t.Helper()
	// Blocks that follow each other share a line break.
	text := strings.ReplaceAll(readDoc(t, "../../docs/"+p.file), "\n```\n", "\n```\n\n")
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		if m[1] == "sh" {
			commands, prints = append(commands, m[2]), append(prints, "")
		} else if last := len(prints) - 1; last < 0 || prints[last] != "" {
			t.Fatalf("%s: before this there are no commands, or they print something else:\n%s", p.file, m[2])
		} else {
			prints[last] = m[2]
		}
	}
	return commands, prints
}

// typeAll types each command of the page in one shell, in order, and compares what each block prints with the page. A command that fails,
// in the middle of a block as well, ends the test.
func (p *typed) typeAll(t *testing.T) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	commands, prints := p.steps(t)
	// nginx may wait longer, on a machine with other work to do.
	moved := append(slices.Clone(p.instead), "timeout 100ms;", "timeout 10s;", "timeout 200ms;", "timeout 10s;")
	var taken []string
	for _, port := range p.ports {
		free := redistest.FreeAddr(t)
		taken = append(taken, free)
		moved = append(moved, "127.0.0.1:"+port, free, "listen "+port, "listen "+free, "--port "+port, "--port "+strings.TrimPrefix(free, "127.0.0.1:"))
	}
	elsewhere := strings.NewReplacer(moved...)
	conf := filepath.Join(p.dir, "deploy", "nginx", "cloakroom.conf")
	if err := os.WriteFile(conf, []byte(elsewhere.Replace(readDoc(t, conf))), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := strings.Join(commands, "\n")
	for i := 0; i < len(p.instead); i += 2 {
		if !strings.Contains(whole, p.instead[i]) {
			t.Errorf("%s has no %q", p.file, p.instead[i])
		}
	}
	var script strings.Builder
	// What is left is ended if a command fails.
	script.WriteString("set -eo pipefail\ntrap '{ kill $(jobs -p) $(cat */nginx.pid); wait; } 2>/dev/null || true' EXIT\n")
	for i, c := range commands {
		fmt.Fprintf(&script, "echo '=== %d'\n%s\n", i, elsewhere.Replace(c))
	}
	cmd := exec.CommandContext(t.Context(), bash, "-c", script.String())
	cmd.Dir, cmd.Env = p.dir, strings.Split(elsewhere.Replace(strings.Join(p.env, "\n")), "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out // as on a terminal
	cmd.WaitDelay = time.Minute         // for what is left and holds them open
	if err := cmd.Run(); err != nil {
		logs, _ := filepath.Glob(filepath.Join(p.dir, "*", "*log*"))
		for _, file := range logs {
			t.Logf("%s:\n%s", file, readDoc(t, file))
		}
		t.Fatalf("%s: %v:\n%s", p.file, err, &out)
	}
	for i, addr := range taken {
		eventually.Holds(t, p.file+" leaves nothing behind on port "+p.ports[i], func() bool { return !listens(addr) })
	}
	t.Logf("%s prints:\n%s", p.file, &out)
	for i, got := range strings.Split(out.String(), "=== ")[1:] {
		_, got, _ = strings.Cut(got, "\n")
		if want := changing.ReplaceAllString(prints[i], "…"); changing.ReplaceAllString(strings.TrimSpace(got), "…") != want {
			t.Errorf("%s: this\n%s\nprints\n%s\nand not\n%s", p.file, commands[i], got, prints[i])
		}
	}
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
