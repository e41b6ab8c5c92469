package console_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/nodetest"
)

// The parts of the live view that need no browser: what is kept, when it is asked for, how figures are written.
func TestLiveModules(t *testing.T) {
	if !nodetest.Have(t, "node") {
		return
	}
	nodetest.Run(t, "live modules", nil, "livestore.test.mjs", "livepoll.test.mjs", "livefigures.test.mjs")
}
