package gateways

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

var update = flag.Bool("update", false, "write the table into docs/gateways.md")

// cloakroomBin is the program under test, built once.
var cloakroomBin string

func TestMain(m *testing.M) {
	testdepth.Parallel(4) // a world mostly waits
	os.Exit(programtest.Main(func() int {
		code := m.Run()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}, func(bin string) { cloakroomBin = bin }))
}
