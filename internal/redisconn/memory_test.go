package redisconn

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryLetsTimePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := newMemory()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.server.Set("k", "v"); err != nil {
			t.Fatal(err)
		}
		m.server.SetTTL("k", 2500*time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()

		after := func(d time.Duration, want bool) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			if got := m.server.Exists("k"); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		after(2100*time.Millisecond, true)
		after(time.Second, false)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
