package breaker_test

import (
	"context"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	redis.SetLogger(noLog{})
	testdepth.Parallel(6) // most wait
	goleak.VerifyTestMain(m,
		// A pool that could not dial tries again every second, and sees only then that it was closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// noLog is the log of a client that is meant to fail.
type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}
