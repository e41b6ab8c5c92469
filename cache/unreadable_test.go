package cache_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
)

// spoil makes a session one that this program cannot read, as one of a later
// program is.
func (s *testStore) spoil(t *testing.T, id session.ID) {
	t.Helper()
	if err := s.client.HSet(t.Context(), s.keys.Session(id), "doc", "\x09 later").Err(); err != nil {
		t.Fatal(err)
	}
}

// One session that cannot be read keeps no other from being revoked, and the
// revocation says that it is there.
func TestRevokePassesOverWhatItCanNotRead(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		s := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		s.putMany(t, 600)
		s.spoil(t, "450")
		n, err := s.Revoke(t.Context(), everything())
		if n != 599 || !errors.Is(err, session.ErrUnavailable) || !strings.Contains(err.Error(), "session 450: ") {
			t.Errorf("%d revoked, %v", n, err)
		}
	})
}

// It counts among its user's sessions, and stays: others are evicted, or
// refused, but not for ever, and nobody is told that Redis is away.
func TestUserLimit_SessionThatCanNotBeRead(t *testing.T) {
	eachPolicy(t, 3, func(t *testing.T, shards int, l storetest.Limits) {
		s := openEmpty(t, startRedis(t), shards, l)
		s.putMany(t, 3, ada...)
		s.spoil(t, "1")
		for i := 3; i < 6; i++ {
			err := s.Put(t.Context(), storetest.New(session.ID(strconv.Itoa(i)), s.Now(), ada...), nil)
			if l.EvictOldest && err != nil || !l.EvictOldest && !errors.Is(err, session.ErrUserLimit) {
				t.Fatalf("session %d: %v", i, err)
			}
		}
	})
}
