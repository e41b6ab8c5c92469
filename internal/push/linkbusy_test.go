package push_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// A server that runs a long script refuses to send invalidations, and will not for ever: that turns nothing off.
func TestLink_BusyServerIsNotOneWithoutTracking(t *testing.T) {
	server := redistest.Start(t, "busy-reply-threshold 1")
	client := server.Client(t, func(o *redis.Options) { o.ReadTimeout = -1 })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.Eval(context.Background(), "while true do end", nil).Err() // killed below
	}()
	direct := server.Client(t)
	dial := func() error {
		l, err := push.Dial(t.Context(), direct.Options(), &push.Tracking{Prefixes: []string{"cr:s:"}, Key: func([]byte) {}, All: func() {}})
		if err == nil {
			l.Close()
		}
		return err
	}
	for !redis.HasErrorPrefix(direct.Get(t.Context(), "k").Err(), "BUSY") { // until the script runs
	}
	err := dial()
	if _, off := errors.AsType[*push.OffError](err); off || err == nil {
		t.Errorf("%v: then it is not tried again for long", err)
	}
	for busy := true; busy; {
		_ = direct.ScriptKill(t.Context()).Err()
		select {
		case <-ended: // I7
			busy = false
		default:
		}
	}
	if err := dial(); err != nil {
		t.Error(err)
	}
}
