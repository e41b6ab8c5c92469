package gateways

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

var update = flag.Bool("update", false, "write the table into docs/gateways.md")

// cloakroomBin is the program under test, built once.
var cloakroomBin string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	testdepth.Parallel(4) // a world mostly waits
	dir, err := os.MkdirTemp("", "crgw")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cloakroomBin = filepath.Join(dir, "cloakroom")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", cloakroomBin, "../../cmd/cloakroom")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build:", err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
