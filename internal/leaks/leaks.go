// Package leaks looks whether tests leave goroutines behind. (I7)
package leaks

import (
	"testing"

	"go.uber.org/goleak"
)

// Verify runs a package's tests, for its TestMain, and ends the program: with a failure if one fails, or if goroutines that
// they started have not ended. Those of others that end by themselves, or never, may be left.
func Verify(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A pool that could not dial tries again every second, and sees only then that it was closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"),
		// fasthttp's workers end up to ten seconds after their server: they sleep.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"))
}
