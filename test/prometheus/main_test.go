// Package prometheus_test runs what deploy/ has for Prometheus and Grafana: a real Prometheus scrapes the real program, alone and in
// front of a ZITADEL, and answers every query of the dashboard and of the alerts.
package prometheus_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const deploy, docs = "../../deploy/", "../../docs/"

// cloakroomBin is the program under test, built once.
var cloakroomBin string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "crprom")
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
	return m.Run()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
