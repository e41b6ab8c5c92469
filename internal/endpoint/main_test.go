package endpoint_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

func TestMain(m *testing.M) {
	redistest.Quiet()
	testdepth.Parallel(6) // most wait
	leaks.Verify(m)
}
