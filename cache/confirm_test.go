package cache_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
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
