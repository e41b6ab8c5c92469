package batch_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testdepth.Parallel(6) // most wait
	goleak.VerifyTestMain(m,
		// A pool that could not dial tries again every second, and sees only then that it was closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
