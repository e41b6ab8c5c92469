package redistest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ErrCut is what a command returns whose round trip was cut by Faults. Like the errors of a real lost connection, it is
// neither redis.Nil nor a redis.Error.
var ErrCut = fmt.Errorf("redistest: the connection was cut: %w", io.ErrUnexpectedEOF)

// Cut says which round trips fail. trip counts them from 1; a pipeline or transaction is one trip, and cmds are its
// commands. An error from Before keeps the trip from being sent; one from After loses the reply of a trip that ran. Either
// may be nil.
type Cut struct {
	Before, After func(trip int, cmds []redis.Cmder) error
}

// CutBefore cuts trip n before it is sent. Later trips go through, as after a reconnect.
func CutBefore(n int) Cut { return Cut{Before: failIf(func(trip int) bool { return trip == n })} }

// CutAfter loses the reply of trip n after Redis ran it. Later trips go through, so a retry finds its own work done.
func CutAfter(n int) Cut { return Cut{After: failIf(func(trip int) bool { return trip == n })} }

// CrashBefore cuts trip n and all later ones before they are sent, as if the process had died there. CrashBefore(n+1) is a
// death after trip n.
func CrashBefore(n int) Cut { return Cut{Before: failIf(func(trip int) bool { return trip >= n })} }

func failIf(bad func(trip int) bool) func(int, []redis.Cmder) error {
	return func(trip int, _ []redis.Cmder) error {
		if bad(trip) {
			return ErrCut
		}
		return nil
	}
}

// Faults is a go-redis hook (client.AddHook) that cuts round trips as the armed Cut says. It cuts nothing until it is armed. Its
// methods may be called concurrently. Each try counts as a trip only if the client does not retry by itself, which those
// from Server.Client do not.
type Faults struct {
	mu    sync.Mutex
	cut   Cut
	trips int
	fired bool
	// before is the error of the last trip that was not cut.
	before error
}

// Arm replaces the cut, and counts trips from 1 again. Arm(Cut{}) lets everything through, and still counts.
func (f *Faults) Arm(c Cut) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.trips, f.fired, f.before = c, 0, false, nil
}

// Trips returns the number of trips since Arm, including those that were cut.
func (f *Faults) Trips() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trips
}

// Fired reports whether a trip has been cut since Arm. A test that cuts at 1, 2, 3 … is through when it stays false.
func (f *Faults) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// inTrip marks the context of a trip. A trip within a trip is the greeting of a new connection, and not counted.
type inTrip struct{}

// trip runs one round trip between the two halves of the cut that was armed when it began.
func (f *Faults) trip(ctx context.Context, cmds []redis.Cmder, run func(context.Context) error) error {
	if ctx.Value(inTrip{}) != nil {
		return run(ctx)
	}
	f.mu.Lock()
	f.trips++
	cut, n := f.cut, f.trips
	f.mu.Unlock()
	if err := f.fail(cut.Before, n, cmds); err != nil {
		return err
	}
	err := run(context.WithValue(ctx, inTrip{}, true))
	f.mu.Lock()
	f.before = err
	f.mu.Unlock()
	if cutErr := f.fail(cut.After, n, cmds); cutErr != nil {
		return cutErr
	}
	return err
}

func (f *Faults) fail(half func(int, []redis.Cmder) error, trip int, cmds []redis.Cmder) error {
	if half == nil {
		return nil
	}
	err := half(trip, cmds)
	if err == nil {
		return nil
	}
	f.mu.Lock()
	f.fired = true
	if f.before != nil && !errors.Is(f.before, redis.Nil) {
		err = fmt.Errorf("%w; the trip before it failed by itself: %v", err, f.before)
	}
	f.mu.Unlock()
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
	return err
}

// DialHook implements redis.Hook; connections are not touched.
func (f *Faults) DialHook(next redis.DialHook) redis.DialHook {
	return next
}

// ProcessHook implements redis.Hook.
func (f *Faults) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return f.trip(ctx, []redis.Cmder{cmd}, func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements redis.Hook, for pipelines and transactions.
func (f *Faults) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return f.trip(ctx, cmds, func(ctx context.Context) error { return next(ctx, cmds) })
	}
}
