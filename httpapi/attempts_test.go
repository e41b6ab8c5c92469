package httpapi

import (
	"context"
	"testing"
)

// A call without time for another attempt does not know that others are faster. (I2)
func TestI2_AttemptsWithoutTimeAreNoConflict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := newAttempts(ctx)
	for n := range 2 {
		if !a.next() {
			t.Fatalf("there is no attempt %d", n+1)
		}
	}
	cancel()
	if a.next() || a.overtaken() != errUnavailable {
		t.Errorf("after the end: %v", a.overtaken())
	}
	a = newAttempts(t.Context())
	for a.next() {
		a.pause = 1
	}
	if a.count != maxAttempts+1 || a.overtaken() != errConflict {
		t.Errorf("%d attempts, then %v", a.count-1, a.overtaken())
	}
}
