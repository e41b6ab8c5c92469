package oidc

import (
	"errors"
	"testing"
	"time"
)

// An issuer that fails now and then is told once, and not each time.
func TestOutage(t *testing.T) {
	var s outage
	now := time.Now()
	f := func(after time.Duration, err error, want change, unanswered int) {
		t.Helper()
		now = now.Add(after)
		if got, n := s.note(err, now); got != want || n != unanswered {
			t.Errorf("got %d, %d, want %d, %d", got, n, want, unanswered)
		}
	}
	away := errors.New("away")
	f(0, nil, noChange, 0)
	f(0, away, outageBegan, 0)
	for range 100 {
		f(calm/2, nil, noChange, 0)
		f(calm/4, away, noChange, 0)
	}
	f(calm-1, nil, noChange, 0)
	f(1, nil, outageEnded, 101)
	f(0, nil, noChange, 0)
	f(0, away, outageBegan, 0)
	f(calm, nil, outageEnded, 1)
}
