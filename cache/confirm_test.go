package cache_test

import (
	"errors"
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// A server that was replaced may lack a session that the new master has: that it finds none is no deletion. Such a server
// takes no writes.
func TestI2_OnlyAServerThatTakesWritesConfirmsADeletion(t *testing.T) {
	t.Parallel()
	for name, remember := range map[string]int{"remembered": 100, "not remembered": 0} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := openConfig(t, &storetest.Clock{}, cache.Config{Redis: server.Client(t), RememberDeletions: remember})
			confirm := func() error {
				_, err := s.ConfirmDeleted(t.Context(), "nothing")
				return err
			}
			if err := confirm(); err != nil {
				t.Errorf("a master: %v", err)
			}
			server.Do("CONFIG", "SET", "min-replicas-to-write", 1)
			isUnavailable(t, "a master that is fenced off", confirm())
			server.Do("CONFIG", "SET", "min-replicas-to-write", 0)
			server.Do("REPLICAOF", "127.0.0.1", "1")
			isUnavailable(t, "a replica", confirm())
			server.Do("REPLICAOF", "NO", "ONE")
			if err := confirm(); err != nil {
				t.Errorf("a master again: %v", err)
			}
		})
	}
}

// A failover brings back what this process has deleted. It does not see it any more, and others do: to delete it again is
// more than to say that it is gone.
func TestI4_ADeletionThatWasUndoneIsDoneAgain(t *testing.T) {
	t.Parallel()
	for name, meets := range map[string]bool{"alone": false, "another is faster": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deletionIsDoneAgain(t, meets)
		})
	}
}

// deletionIsDoneAgain has the session deleted by another process, if meets says so, after it was found to be back.
func deletionIsDoneAgain(t *testing.T, meets bool) {
	c := startCutServer(t, 1)
	client := c.well
	other := openEmpty(t, client, 1, storetest.Limits{})
	s := openConfig(t, other.clock, cache.Config{Redis: c.frail, Shards: 1, Clock: other.clock.Now, RememberDeletions: 100})
	if err := s.Put(t.Context(), storetest.New("1", s.Now(), ada...), nil); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{} // what the replica has that is promoted
	for _, key := range client.Keys(t.Context(), "*").Val() {
		before[key] = client.Dump(t.Context(), key).Val()
	}
	old, err := s.GetFresh(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), old, "deleted"); err != nil {
		t.Fatal(err)
	}
	client.FlushAll(t.Context())
	for key, dump := range before {
		if err := client.Restore(t.Context(), key, 0, dump).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.GetFresh(t.Context(), "1"); err != nil {
		t.Fatalf("it is not back: %v", err)
	}
	if _, err := s.GetFresh(t.Context(), "1"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the process that has deleted it: %v", err)
	}
	if meets {
		scripts := 0
		c.faults.Arm(redistest.Cut{Before: func(_ int, cmds []redis.Cmder) error {
			if cmds[0].Name() != "evalsha" {
				return nil
			}
			if scripts++; scripts == 2 { // the first has found it
				back, err := other.GetFresh(t.Context(), "1")
				if err == nil {
					_, err = other.Delete(t.Context(), back, "deleted")
				}
				return err
			}
			return nil
		}})
		if _, err := s.ConfirmDeleted(t.Context(), "1"); !errors.Is(err, session.ErrConflict) || scripts != 2 {
			t.Errorf("%d scripts, %v, want ErrConflict", scripts, err)
		}
	}
	if _, err := s.ConfirmDeleted(t.Context(), "1"); err != nil {
		t.Error(err)
	}
	if _, err := other.GetFresh(t.Context(), "1"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("another process: %v", err)
	}
}
