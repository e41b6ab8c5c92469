package testserver

import (
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Where PostgreSQL is missing its tests are left out, unless one of these is set: CI has it.
var required = []string{"CLOAKROOM_TEST_POSTGRES", "CI"}

// Postgres starts a PostgreSQL server, and returns its URL. It ends with the test. Without PostgreSQL it
// returns "", and fails the test if that must not be.
func Postgres(t testing.TB) string {
	t.Helper()
	bin := postgresBin()
	if bin == "" {
		for _, name := range required {
			if os.Getenv(name) != "" {
				t.Fatalf("there is no PostgreSQL server, and %s is set; .ci/install-postgres installs it", name)
			}
		}
		t.Log("LEFT OUT: there is no PostgreSQL server; .ci/install-postgres installs it")
		return ""
	}
	dir := tempDir(t)
	data := filepath.Join(dir, "data")
	as := notRoot(t, dir)
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "bench", "--auth", "trust", "--no-sync", "--no-locale", "--encoding", "UTF8")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+dir, "-c", "fsync=off")
	cmd.SysProcAttr, cmd.Dir = as, dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd, stderr, "ready to accept connections", syscall.SIGINT)
	return "postgres:///postgres?" + url.Values{"host": {dir}, "user": {"bench"}}.Encode()
}

// postgresBin is the directory of PostgreSQL's programs, "" if there is none. Debian keeps it off PATH.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if name, err := exec.LookPath("postgres"); err == nil {
		found = append(found, name)
	}
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// notRoot makes another user own dir if this is root, which PostgreSQL refuses, and returns how to run a program as that user.
func notRoot(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, errU := strconv.ParseUint(u.Uid, 10, 32)
	gid, errG := strconv.ParseUint(u.Gid, 10, 32)
	if errU != nil || errG != nil {
		t.Fatal(errU, errG)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
