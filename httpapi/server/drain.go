package server

import "context"

// drainKey is where the context of requests has that which ends when the server
// begins to drain.
type drainKey struct{}

// WithDrain returns base, which outlives the beginning of a drain, with drain,
// which ends then.
func WithDrain(base, drain context.Context) context.Context {
	return context.WithValue(base, drainKey{}, drain)
}

// UntilDrained returns a context for what may take longer than a shutdown, and
// can be sent again. It ends with base, and when the server is told to end, so
// that there is time to say how far it came; ended says that this has happened.
// stop must be called.
func UntilDrained(base context.Context) (ctx context.Context, ended func() bool, stop func()) {
	drain, ok := base.Value(drainKey{}).(context.Context)
	if !ok {
		drain = base
	}
	ctx, cancel := context.WithCancel(base)
	release := context.AfterFunc(drain, cancel)
	return ctx, func() bool { return drain.Err() != nil }, func() {
		release()
		cancel()
	}
}
