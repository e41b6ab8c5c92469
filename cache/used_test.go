package cache_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
)

// A token that counts once is used once, whoever uses it, until its time has come.
func TestUse(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		s := openEmpty(t, client, shards, storetest.Limits{})
		other := open(t, client, shards, s.clock, storetest.Limits{})
		used := func(h session.TokenHash, want bool) {
			t.Helper()
			for _, store := range []*testStore{s, other} {
				if got, err := store.Used(t.Context(), h); err != nil || got != want {
					t.Errorf("%x was used: %v, %v", h[:1], got, err)
				}
			}
		}
		for i := range byte(8) {
			h := session.TokenHash{i}
			used(h, false)
			var firsts atomic.Int64
			var all sync.WaitGroup
			for _, store := range []*testStore{s, other, s, other} {
				all.Go(func() {
					first, err := store.Use(t.Context(), h, s.Now().Add(time.Hour))
					if err != nil {
						t.Error(err)
					}
					if first {
						firsts.Add(1)
					}
				})
			}
			all.Wait()
			if firsts.Load() != 1 {
				t.Errorf("%d were the first", firsts.Load())
			}
			used(h, true)
			left, err := client.PTTL(t.Context(), s.keys.Used(h)).Result()
			if err != nil || left <= 59*time.Minute || left > time.Hour {
				t.Errorf("the note stays for %v, %v", left, err)
			}
		}
		// One whose time has come already is noted for a moment, not for ever.
		if _, err := s.Use(t.Context(), session.TokenHash{99}, s.Now()-1); err != nil {
			t.Error(err)
		}
		if left, err := client.PTTL(t.Context(), s.keys.Used(session.TokenHash{99})).Result(); err != nil || left > time.Millisecond || left == -1 {
			t.Errorf("the note stays for %v, %v", left, err)
		}
	})
}

// What is not known is not taken for unused. (I2)
func TestI2_UseWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	c := startCutServer(t, 1)
	s := c.open(t)
	h := session.TokenHash{1}
	s.faults.Arm(redistest.CutBefore(1))
	if _, err := s.frail.Used(t.Context(), h); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	s.faults.Arm(redistest.CutBefore(1))
	if first, err := s.frail.Use(t.Context(), h, s.Now().Add(time.Hour)); first || !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v, %v", first, err)
	}
	if used, err := s.Used(t.Context(), h); used || err != nil {
		t.Errorf("got %v, %v", used, err)
	}
	s.faults.Arm(redistest.CutAfter(1))
	if first, err := s.frail.Use(t.Context(), h, s.Now().Add(time.Hour)); first || !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v, %v", first, err)
	}
	if used, err := s.Used(t.Context(), h); !used || err != nil {
		t.Errorf("got %v, %v", used, err)
	}
}
