package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
	"github.com/redis/go-redis/v9"
)

const (
	// document is the field of a session's hash that has its JSON.
	document = "doc"
	// seededKey is a hash that says which dataset is stored, and how much it took then.
	seededKey   = "bench:seeded"
	seededName  = "name"
	seededBytes = "bytes"
	// seedUsers is how many users are seeded in one round trip.
	seedUsers = 200
)

// RedisStore keeps a session as JSON in a hash, and the IDs of a user's sessions in a sorted set by
// creation date, under scenario.RawSessionKey and RawUserKey.
type RedisStore struct{ client *redis.Client }

// OpenRedisStore opens the store at a URL.
func OpenRedisStore(url string) (*RedisStore, error) {
	client, err := source.OpenRedis(url, 0)
	if err != nil {
		return nil, err
	}
	return &RedisStore{client}, nil
}

// Seed implements Store.
func (s *RedisStore) Seed(ctx context.Context, d scenario.Dataset, stderr io.Writer) error {
	name := nameOf(d)
	if stored, err := s.client.HGet(ctx, seededKey, seededName).Result(); err != nil && !errors.Is(err, redis.Nil) {
		return err
	} else if stored == name {
		return nil
	}
	if err := s.client.Del(ctx, seededKey).Err(); err != nil {
		return err
	}
	t := cli.Count{}
	defer cli.Progress(stderr, "seeding Redis with users", int64(d.Users()), t.Look)()
	var b []byte
	for first := 0; first < d.Users(); first += seedUsers {
		pipe := s.client.Pipeline()
		for user := first; user < min(first+seedUsers, d.Users()); user++ {
			list := userKey(scenario.UserID(user))
			pipe.Del(ctx, list)
			for k := range scenario.PerUser {
				i := d.OfUser(user, k)
				b = d.AppendSession(b[:0], i)
				pipe.HSet(ctx, sessionKey(scenario.SessionID(i)), document, string(bytes.TrimSpace(b)))
				pipe.ZAdd(ctx, list, redis.Z{Score: float64(d.Created(i).UnixMicro()), Member: scenario.SessionID(i)})
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		t.Done.Store(int64(first))
	}
	n, err := s.used(ctx)
	if err != nil {
		return err
	}
	return s.client.HSet(ctx, seededKey, seededName, name, seededBytes, n).Err()
}

// nameOf names a dataset so that no other has the name.
func nameOf(d scenario.Dataset) string {
	return fmt.Sprintf("%d sessions, the newest of %s", d.Sessions, scenario.Date(d.Newest))
}

// Bytes implements Store. It returns the figure of right after seeding: later Redis also remembers the clients that
// keep copies.
func (s *RedisStore) Bytes(ctx context.Context) (int64, error) {
	n, err := s.client.HGet(ctx, seededKey, seededBytes).Int64()
	if errors.Is(err, redis.Nil) {
		return s.used(ctx)
	}
	return n, err
}

// used is how much memory Redis uses, without that of an empty one and of its connections.
func (s *RedisStore) used(ctx context.Context) (int64, error) {
	info, err := s.client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	fields := map[string]int64{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			fields[name] = n
		}
	}
	return fields["used_memory"] - fields["used_memory_startup"] - fields["mem_clients_normal"], nil
}

// Close implements Store.
func (s *RedisStore) Close() { _ = s.client.Close() }

func userKey(user string) string  { return scenario.RawUserKey + user }
func sessionKey(id string) string { return scenario.RawSessionKey + id }

// score is the score that a session created at t has in its user's list.
func score(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }
