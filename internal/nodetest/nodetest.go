// Package nodetest runs tests that are written in JavaScript, in the directory of the test that calls it.
package nodetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// required are variables that demand Node.js if one is set: CI has it. Elsewhere these tests are left out without it.
var required = []string{"CLOAKROOM_TEST_NODE", "CI"}

// Have says whether all these programs are on PATH. It fails the test if they must be.
func Have(t *testing.T, programs ...string) bool {
	t.Helper()
	var missing []string
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return true
	}
	for _, name := range required {
		if os.Getenv(name) != "" {
			t.Fatalf("%v not on PATH, and %s is set; make node chromium installs them", missing, name)
		}
	}
	t.Logf("LEFT OUT: %v not on PATH; make node chromium installs them", missing)
	return false
}

// Install installs what package-lock.json names, unless that is there.
func Install(t *testing.T) {
	t.Helper()
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	done := filepath.Join("node_modules", ".installed")
	if old, err := os.ReadFile(done); err == nil && string(old) == string(lock) {
		return
	}
	if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(done, lock, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Run runs test files with this environment, and fails with what they say. None of their tests may be skipped.
func Run(t *testing.T, name string, env []string, files ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", slices.Concat([]string{"--test", "--test-reporter=tap"}, files)...)
	cmd.Env = slices.Concat(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: node --test %v: %v\n%s", name, files, err, out)
	} else if !strings.Contains(string(out), "# fail 0\n") || strings.Contains(string(out), "# pass 0\n") || !strings.Contains(string(out), "# skipped 0\n") {
		t.Errorf("%s: node --test %v did not run every test:\n%s", name, files, out)
	}
}
