package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestI7_PartsStopInReverse(t *testing.T) {
	p, order := newParts(), []string{}
	for _, name := range []string{"a", "b", "c"} {
		p.start(name, func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name) // one at a time, because stop waits
			return nil
		})
	}
	p.onStop("d", func() error { order = append(order, "d"); return nil })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"d", "c", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
}

func TestPartsThatFail(t *testing.T) {
	p := newParts()
	broken := errors.New("broken")
	p.start("steady", func(ctx context.Context) error { <-ctx.Done(); return nil })
	p.start("weak", func(context.Context) error { return broken })
	if err := p.wait(t.Context()); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "weak: ") {
		t.Errorf("got %v", err)
	}
	if err := p.stop(); err != nil { // told once
		t.Errorf("got %v", err)
	}
	p.start("short", func(context.Context) error { return nil })
	if err := p.wait(t.Context()); err == nil || err.Error() != "short: ended by itself" {
		t.Errorf("got %v", err)
	}
}
