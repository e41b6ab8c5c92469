package upstream_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

func TestMain(m *testing.M) {
	testdepth.Parallel(8) // most wait
	leaks.Verify(m)
}
