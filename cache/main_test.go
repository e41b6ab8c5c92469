package cache

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

func TestMain(m *testing.M) {
	flag.Parse()
	settings := map[string]string{
		"rapid.steps":      testdepth.Of("150", "300"), // of which rapid does half with -short
		"rapid.nofailfile": "true",                     // the seed is enough
		// Many tests wait for a failover, and leave the processors to others.
		"test.parallel": fmt.Sprint(3 * runtime.GOMAXPROCS(0)),
	}
	flag.Visit(func(given *flag.Flag) { delete(settings, given.Name) })
	for name, value := range settings {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	debug.SetGCPercent(400) // little is in use, and much is thrown away
	leaks.Verify(m)
}
