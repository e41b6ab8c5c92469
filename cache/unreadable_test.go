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

// A document of a later format and a damaged one are errors that name the fault,
// and never "not found". (I2)
func TestI2_UnreadableIsNotNotFound(t *testing.T) {
	s := openEmpty(t, startRedis(t), 1, storetest.Limits{})
	for _, c := range []struct{ stored, want string }{
		{"\x00", "format 0"},
		{"\x04", "format 4"},
		{"\x09 later", "format 9"},
		{"\x01\x00\x01block", "version 1"}, // a session without creator and token
		{"\x01\x00\x03later", "version 3"},
		{"\x01\x00", "empty"},
		{"\x01", "damaged"},
		{"\x02\x00token", "damaged"},
	} {
		if err := s.client.HSet(t.Context(), s.keys.Session("1"), "doc", c.stored).Err(); err != nil {
			t.Fatal(err)
		}
		_, get := s.Get(t.Context(), "1")
		_, fresh := s.GetFresh(t.Context(), "1")
		for _, err := range []error{get, fresh} {
			if !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrNotFound) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v, want %s", c.stored, err, c.want)
			}
		}
	}
}

// One session that cannot be read keeps no other from being revoked, and the
// revocation says that it is there.
func TestRevokePassesOverWhatItCanNotRead(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
