// Package programtest lets tests build the program, and run it and others as processes.
package programtest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// StartTimeout is for programs: one that does not answer by then, or does not end, is broken.
const StartTimeout = 30 * time.Second

// logTail is how much of a log a failed test shows, in bytes.
const logTail = 4000

// Build builds the program into a directory, and returns its path.
func Build(dir string) (bin string, err error) {
	bin = filepath.Join(dir, "cloakroom")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", bin, "github.com/cloakroom-dev/cloakroom/cmd/cloakroom").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
}

// Main is a TestMain: it builds the program, gives its path to use, and returns the exit code of run.
func Main(run func() int, use func(bin string)) int {
	dir, err := os.MkdirTemp("", "crtest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin, err := Build(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	use(bin)
	return run()
}

// NewKey has the program make an API key with these flags, puts it into the file, and returns its secret.
func NewKey(t *testing.T, bin, file, name string, flags ...string) (secret string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), bin, append([]string{"key", "new", "--name", name, "--file", file}, flags...)...).Output()
	if err != nil {
		t.Fatalf("cloakroom key new: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Program is a running process.
type Program struct {
	*redistest.Process
	log string
}

// Log returns what the program has written.
func (p *Program) Log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Start runs a program, which messages call by its name, until the end of the test, and waits until url answers 200, or anything at all if url ends in a
// slash. If the test fails it shows the end of the program's log.
func Start(t *testing.T, name, url, bin string, args ...string) *Program {
	t.Helper()
	logFile := filepath.Join(t.TempDir(), name+".log")
	p, err := redistest.StartProcess(logFile, bin, args...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		if !p.Stop(StartTimeout) {
			t.Errorf("%s ignored SIGTERM", name)
		}
		if log, err := os.ReadFile(logFile); t.Failed() && err == nil {
			t.Logf("%s wrote:\n%s", name, log[max(0, len(log)-logTail):])
		}
	})
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true}, Timeout: StartTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ok := eventually.Within(StartTimeout, func() bool {
		select {
		case <-p.Done():
			t.Fatalf("%s has ended", name)
		default:
		}
		response, err := client.Get(url)
		if err != nil {
			return false
		}
		_ = response.Body.Close() // nothing of it was read
		return response.StatusCode == http.StatusOK || strings.HasSuffix(url, "/")
	})
	if !ok {
		t.Fatalf("%s does not answer", name)
	}
	return &Program{p, logFile}
}
