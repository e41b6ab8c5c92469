package parts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestI7_PartsStopInReverse(t *testing.T) {
	p, order := New(), []string{}
	for _, name := range []string{"a", "b", "c"} {
		p.Start(name, func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name) // one at a time, because stop waits
			return nil
		})
	}
	p.OnStop("d", func() error { order = append(order, "d"); return nil })
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"d", "c", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
}

func TestPartsThatFail(t *testing.T) {
	p := New()
	broken := errors.New("broken")
	p.Start("steady", func(ctx context.Context) error { <-ctx.Done(); return nil })
	p.Start("weak", func(context.Context) error { return broken })
	if err := p.Wait(t.Context()); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "weak: ") {
		t.Errorf("got %v", err)
	}
	if err := p.Stop(); err != nil { // told once
		t.Errorf("got %v", err)
	}
	p.Start("short", func(context.Context) error { return nil })
	if err := p.Wait(t.Context()); err == nil || err.Error() != "short: ended by itself" {
		t.Errorf("got %v", err)
	}
}
