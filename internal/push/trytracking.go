package push

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// TryTracking makes a connection for invalidations as the near cache does, to
// where o says, has change change a key, which must be under one of the prefixes, or is read
// before if there are none,
// and returns how long it took until Redis told of it. It gives up when ctx ends.
func TryTracking(ctx context.Context, o *redis.Options, prefixes []string, key string, change func(context.Context) error) (time.Duration, error) {
	told := make(chan struct{})
	var once sync.Once
	hear := func(k []byte) {
		if string(k) == key {
			once.Do(func() { close(told) })
		}
	}
	l, err := Dial(ctx, o, &Tracking{Prefixes: prefixes, Key: hear, All: func() {}})
	if err != nil {
		return 0, err
	}
	if len(prefixes) == 0 {
		if _, err := l.ask("HGET", key, "doc"); err != nil {
			l.Close()
			return 0, err
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.pushes.Reply() // nothing is asked, so that it returns when the connection ends
		ended <- err
	}()
	begun := time.Now()
	if err = change(ctx); err == nil {
		select {
		case <-told:
		case err = <-ended:
			ended <- err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	took := time.Since(begun)
	l.Close()
	<-ended // I7
	return took, err
}
