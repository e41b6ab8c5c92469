package server

import (
	"context"
	"testing"
)

// Without a server that drains, a context ends with its base alone.
func TestUntilDrained(t *testing.T) {
	base, cancel := context.WithCancel(context.Background())
	drain, begin := context.WithCancel(context.Background())
	defer begin()
	ctx, ended, stop := UntilDrained(WithDrain(base, drain))
	defer stop()
	if ctx.Err() != nil || ended() {
		t.Error("it has ended already")
	}
	begin()
	<-ctx.Done()
	if !ended() {
		t.Error("it does not say why")
	}
	other, ended, stop := UntilDrained(base)
	defer stop()
	if other.Err() != nil || ended() {
		t.Error("it ends with another server")
	}
	cancel()
	<-other.Done()
}
