// Package prometheus_test runs what deploy/ has for Prometheus and Grafana: a real Prometheus scrapes the real program, alone and in
// front of a ZITADEL, and answers every query of the dashboard and of the alerts.
package prometheus_test

import (
	"os"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/programtest"
)

const deploy, docs = "../../deploy/", "../../docs/"

// cloakroomBin is the program under test, built once.
var cloakroomBin string

func TestMain(m *testing.M) {
	os.Exit(programtest.Main(m.Run, func(bin string) { cloakroomBin = bin }))
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
