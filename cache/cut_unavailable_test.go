package cache_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// calls are all calls of a store, for session "1" that was read as old.
var calls = map[string]func(ctx context.Context, s *testStore, old *session.Stored) error{
	"Get": func(ctx context.Context, s *testStore, _ *session.Stored) error {
		_, err := s.Get(ctx, "1")
		return err
	},
	"GetFresh": func(ctx context.Context, s *testStore, _ *session.Stored) error {
		_, err := s.GetFresh(ctx, "1")
		return err
	},
	"GetByTokenFresh, foreign": func(ctx context.Context, s *testStore, _ *session.Stored) error {
		_, err := s.GetByTokenFresh(ctx, "ada's")
		return err
	},
	"GetByToken, of ours": func(ctx context.Context, s *testStore, _ *session.Stored) error {
		token, _ := session.NewToken("1")
		_, err := s.GetByToken(ctx, token)
		return err
	},
	"GetByToken, foreign": func(ctx context.Context, s *testStore, _ *session.Stored) error {
		_, err := s.GetByToken(ctx, "ada's")
		return err
	},
	"Put, new": func(ctx context.Context, s *testStore, _ *session.Stored) error {
		return s.Put(ctx, storetest.New("9", s.Now(), bob...), nil)
	},
	"Put": func(ctx context.Context, s *testStore, old *session.Stored) error {
		return s.Put(ctx, storetest.New("1", s.Now(), append(bob, storetest.Sequence(2))...), old)
	},
	"Delete": func(ctx context.Context, s *testStore, old *session.Stored) error {
		_, err := s.Delete(ctx, old, "revoked")
		return err
	},
	"Sweep": func(ctx context.Context, s *testStore, _ *session.Stored) error {
		_, err := s.Sweep(ctx)
		return err
	},
	"Ping":                 func(ctx context.Context, s *testStore, _ *session.Stored) error { return s.Ping(ctx) },
	"Search all":           search(),
	"Search by IDs":        search(index.ByIDs("1")),
	"Search by user":       search(index.ByUser("ada")),
	"Search by agent":      search(index.ByAgent("laptop")),
	"Search by creator":    search(index.ByCreator("gateway")),
	"Search by creation":   search(index.ByCreation(index.Dates{Min: 0, Max: session.Never - 1})),
	"Search by expiration": search(index.ByExpiration(index.Dates{Min: 0, Max: session.Never - 1})),
	"Search by two":        search(index.ByCreator("gateway"), index.ByUser("ada")),
}

func search(ps ...index.Predicate) func(context.Context, *testStore, *session.Stored) error {
	return func(ctx context.Context, s *testStore, _ *session.Stored) error {
		_, err := s.Search(ctx, &index.Query{Predicates: ps, Sees: index.Sees{All: true}, Limit: 10})
		return err
	}
}

// areUnavailable checks that every call says that Redis is away, and nothing
// about the session. They return by the deadline: a call that does not hangs
// the test.
func (s *testStore) areUnavailable(t *testing.T, old *session.Stored) {
	t.Helper()
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := call(ctx, s, old)
		cancel()
		isUnavailable(t, name, err)
	}
}

func isUnavailable(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("%s: %v, want ErrUnavailable", call, err)
	}
	for _, other := range []error{session.ErrNotFound, session.ErrConflict, session.ErrDeleted, session.ErrFull} {
		if errors.Is(err, other) {
			t.Errorf("%s: %v is also %q", call, err, other)
		}
	}
}

// areWell checks that every call but those that change sessions goes through.
// A Delete that was given up may have happened since.
func (s *testStore) areWell(t *testing.T) {
	t.Helper()
	for name, call := range calls {
		if name == "Put, new" || name == "Put" || name == "Delete" {
			continue
		}
		if err := call(t.Context(), s, nil); err != nil && !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A Redis that is away, late or out of order is never taken for one that has
// no such session.
func TestI2_RedisAway(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		start := func(t *testing.T, options ...func(*redis.Options)) (*redistest.Server, *redistest.Proxy, *testStore, *session.Stored) {
			t.Helper()
			server := redistest.Start(t)
			proxy := redistest.NewProxy(t, server.Addr)
			// After as many failed dials as its size, a pool dials once a second only.
			client := server.Client(t, append(options, func(o *redis.Options) { o.Addr, o.PoolSize = proxy.Addr, 200 })...)
			s := openEmpty(t, client, shards, storetest.Limits{})
			if err := s.Put(t.Context(), storetest.New("1", s.Now(), ada...), nil); err != nil {
				t.Fatal(err)
			}
			old, err := s.GetFresh(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			return server, proxy, s, old
		}
		t.Run("killed", func(t *testing.T) {
			server, _, s, old := start(t)
			server.Kill()
			s.areUnavailable(t, old)
		})
		t.Run("paused", func(t *testing.T) {
			server, _, s, old := start(t)
			server.Pause()
			s.areUnavailable(t, old)
			server.Resume()
		})
		t.Run("stalled on the way", func(t *testing.T) {
			_, proxy, s, old := start(t)
			proxy.Stall(true)
			s.areUnavailable(t, old)
		})
		t.Run("refused", func(t *testing.T) {
			_, proxy, s, old := start(t)
			proxy.Refuse(true)
			proxy.CutAll()
			s.areUnavailable(t, old)
			proxy.Refuse(false)
			s.areWell(t)
		})
		t.Run("the caller gives up", func(t *testing.T) {
			_, _, s, old := start(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for name, call := range calls {
				isUnavailable(t, name, call(ctx, s, old))
			}
			s.areWell(t)
		})
		t.Run("read-only", func(t *testing.T) {
			server, _, s, old := start(t)
			if err := server.Client(t).ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"Put", "Put, new", "Delete"} {
				isUnavailable(t, name, calls[name](t.Context(), s, old))
			}
			if _, err := s.Get(t.Context(), "1"); err != nil {
				t.Errorf("Get: %v", err)
			}
		})
		t.Run("no rights", func(t *testing.T) {
			server, _, s, old := start(t)
			if err := server.Client(t).Do(t.Context(), "ACL", "SETUSER", "default", "-@all", "+ping").Err(); err != nil {
				t.Fatal(err)
			}
			for name, call := range calls {
				if name != "Ping" {
					isUnavailable(t, name, call(t.Context(), s, old))
				}
			}
		})
		// The client tells of such an error, and leaves the commands of a pipeline without one.
		t.Run("new connections are refused", func(t *testing.T) {
			server, _, s, old := start(t, func(o *redis.Options) { o.Password = "first" })
			server.Do("CONFIG", "SET", "requirepass", "second")
			server.CutClients()
			for name, call := range calls {
				isUnavailable(t, name, call(t.Context(), s, old))
			}
			_, err := s.Audit(t.Context(), cache.AuditConfig{})
			isUnavailable(t, "Audit", err)
		})
	})
}

// A session that is in Redis and cannot be read is not "no such session".
func TestI2_BrokenData(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	for name, breaks := range map[string]func(ctx context.Context, key string) error{
		"wrong type": func(ctx context.Context, key string) error { return client.Set(ctx, key, "x", 0).Err() },
		"no creator": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\x01").Err()
		},
		"half a creator": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\x01\x0agateway").Err()
		},
		"half a token": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\x03\x00half").Err()
		},
		"no document": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\x01\x00").Err()
		},
		"broken document": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\x01\x00\x01broken").Err()
		},
		"no session": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\x01\x00\x00{}").Err()
		},
		"document of a later version": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\x01\x00\xfe{}").Err()
		},
		"a later format": func(ctx context.Context, key string) error {
			return client.HSet(ctx, key, "doc", "\xfe\x00\x00{}").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openEmpty(t, client, 1, storetest.Limits{})
			if err := s.Put(t.Context(), storetest.New("1", s.Now(), ada...), nil); err != nil {
				t.Fatal(err)
			}
			if err := breaks(t.Context(), s.keys.Session("1")); err != nil {
				t.Fatal(err)
			}
			for _, call := range []string{
				"Get", "GetFresh", "GetByToken, of ours", "GetByToken, foreign", "GetByTokenFresh, foreign",
				"Search all", "Search by IDs", "Search by user", "Search by two",
			} {
				isUnavailable(t, call, calls[call](t.Context(), s, nil))
			}
		})
	}
}

// A store on a Redis that is away, or that holds something else, does not open.
func TestI2_OpenNeedsRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	server.Kill()
	if _, err := cache.Open(t.Context(), cache.Config{Redis: client}); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Open: %v, want ErrUnavailable", err)
	}
}
