package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	testdepth.Parallel(6) // most wait
	leaks.Verify(m)
}

// healthy is a configuration that no check complains about.
var healthy = []string{
	"maxmemory 100mb", "maxmemory-policy noeviction", "appendonly yes", "appendfsync everysec", "hash-max-listpack-value 4096",
}

// at is the Config of a server.
func at(t *testing.T, s *redistest.Server, options ...func(*redis.Options)) doctor.Config {
	client := s.Client(t, options...)
	o := client.Options()
	return doctor.Config{
		Client: client, Options: o, Addresses: []doctor.Address{{Network: "tcp", Addr: s.Addr}},
		User: o.Username, Password: o.Password != "", Prefix: keys.DefaultPrefix, Near: true,
		Rights: acl.Needed(slices.Concat(cache.Rights(), doctor.Rights()), acl.Near),
	}
}

// findings are those of an examination.
type findings []doctor.Finding

func examine(t *testing.T, c doctor.Config) (all findings) {
	t.Helper()
	doctor.Examine(t.Context(), c, func(f doctor.Finding) { all = append(all, f) })
	return all
}

// well checks that there is nothing but good findings.
func (all findings) well(t *testing.T, checks ...string) {
	t.Helper()
	for _, f := range all {
		if f.Status != doctor.OK || len(f.Fix) > 0 {
			t.Errorf("%+v", f)
		}
	}
	for _, check := range checks {
		if !slices.ContainsFunc(all, func(f doctor.Finding) bool { return f.Check == check }) {
			t.Errorf("nothing is said of %s", check)
		}
	}
}

// has checks that a check found what it should, and what to do.
func (all findings) has(t *testing.T, check string, status doctor.Status, found, fix string) doctor.Finding {
	t.Helper()
	for _, f := range all {
		if f.Check == check && f.Status == status && strings.Contains(f.Found, found) && strings.Contains(strings.Join(f.Fix, "\n"), fix) {
			return f
		}
	}
	t.Errorf("no %s: %s with %q and the fix %q in:\n%s", status, check, found, fix, all)
	return doctor.Finding{}
}

func (all findings) String() string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%s %s %s: %s %q\n", f.Status, f.Check, f.Node, f.Found, f.Fix)
	}
	return b.String()
}

var every = []string{
	"connection", "login", "server", "shards", "rights", "tracking", "eviction", "memory", "persistence", "replicas", "settings",
	"clock", "latency", "sessions", "clients",
}

func TestExamine_AllIsWell(t *testing.T) {
	s := redistest.Start(t, healthy...)
	all := examine(t, at(t, s))
	all.well(t, every...)
	if n := s.Client(t).DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were left behind", n)
	}
}

// Each fault is found, with what to do; and the fix that it names mends it.
func TestExamine_FindsFaults(t *testing.T) {
	now := float64(time.Now().UnixMicro())
	for _, test := range []struct {
		name         string
		do           [][]any // on the healthy server
		check        string
		status       doctor.Status
		found, fix   string
		mendedByFix0 bool // Fix[0] begins with a CONFIG SET that mends it
	}{
		{"evicts", set("maxmemory-policy", "allkeys-lru"), "eviction", doctor.Fail, "allkeys-lru", "CONFIG SET maxmemory-policy noeviction", true},
		{"evicts what has a TTL", set("maxmemory-policy", "volatile-ttl"), "eviction", doctor.Fail, "volatile-ttl", "CONFIG SET maxmemory-policy noeviction", true},
		{"no limit", set("maxmemory", "0"), "memory", doctor.Warn, "maxmemory is 0", "CONFIG SET maxmemory ", true},
		{"full", set("maxmemory", "1mb"), "memory", doctor.Fail, "of maxmemory 1.0 MiB", "CONFIG SET maxmemory ", true},
		{"full, and a key cannot be set", set("maxmemory", "1mb"), "tracking", doctor.Skip, "OOM", "", false},
		{"keeps nothing", append(set("appendonly", "no"), set("save", "")...), "persistence", doctor.Warn, "nothing is kept on disk", "CONFIG SET appendonly yes", true},
		{"snapshots only", append(set("appendonly", "no"), set("save", "3600 1")...), "persistence", doctor.Warn, "since the last snapshot", "CONFIG SET appendonly yes", true},
		{"flushes never", set("appendfsync", "no"), "persistence", doctor.Warn, "appendfsync no", "CONFIG SET appendfsync everysec", true},
		{"large hashes", set("hash-max-listpack-value", "64"), "settings", doctor.Warn, "hash-max-listpack-value is 64", "CONFIG SET hash-max-listpack-value 4096", true},
		{"cuts idle connections", set("timeout", "5"), "settings", doctor.Warn, "timeout is 5", "CONFIG SET timeout 0", true},
		{"no keepalive", set("tcp-keepalive", "0"), "settings", doctor.Warn, "tcp-keepalive is 0", "CONFIG SET tcp-keepalive 300", true},
		{"hangs in scripts", set("busy-reply-threshold", "60000"), "settings", doctor.Warn, "60000 ms", "CONFIG SET busy-reply-threshold 5000", true},
		{"too few replicas", set("min-replicas-to-write", "1"), "replicas", doctor.Fail, "Redis refuses writes", "CONFIG SET min-replicas-to-write 0", false},
		{"foreign", [][]any{{"SET", "cr:meta", "hello"}}, "shards", doctor.Fail, "not cloakroom's", "another --redis-key-prefix", false},
		{"foreign list", [][]any{{"RPUSH", "cr:meta", "hello"}}, "shards", doctor.Fail, "not cloakroom's", "another --redis-key-prefix", false},
		{"other layout", [][]any{{"SET", "cr:meta", "layout=1 shards=1"}}, "shards", doctor.Fail, "layout 1", "another --redis-key-prefix", false},
		{"other shards", [][]any{{"SET", "cr:meta", "layout=2 shards=4"}}, "shards", doctor.Fail, "over 4 shards, and --redis-shards is 2", "--redis-shards=0", false},
		{"nobody sweeps", [][]any{{"EVAL", "for i = 1, 1001 do redis.call('ZADD', KEYS[1], ARGV[1], i) end", 1, catalogue(2), now - 5e6}}, "sessions", doctor.Warn, "1001 have ended", "is one running", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, healthy...)
			admin := s.Client(t)
			for _, words := range test.do {
				if err := admin.Do(t.Context(), words...).Err(); err != nil && !errors.Is(err, redis.Nil) {
					t.Fatal(err)
				}
			}
			c := at(t, s)
			c.Shards = 2
			f := examine(t, c).has(t, test.check, test.status, test.found, test.fix)
			if !test.mendedByFix0 || t.Failed() {
				return
			}
			command, _, _ := strings.Cut(f.Fix[0], ", and ")
			var words []any
			for _, w := range strings.Fields(command) {
				words = append(words, w)
			}
			if err := admin.Do(t.Context(), words...).Err(); err != nil {
				t.Fatalf("%s: %v", command, err)
			}
			for _, again := range examine(t, c) {
				if again.Check == test.check && again.Status == test.status {
					t.Errorf("after %s: %+v", command, again)
				}
			}
		})
	}
}

func set(name, value string) [][]any { return [][]any{{"CONFIG", "SET", name, value}} }

func catalogue(shards int) string {
	space, err := keys.NewSpace(keys.DefaultPrefix, shards)
	if err != nil {
		panic(err)
	}
	return space.Catalogue(0)
}

// What keeps out is named, step by step.
func TestExamine_KeptOut(t *testing.T) {
	t.Parallel()
	plain := redistest.Start(t)
	locked := redistest.Start(t, "requirepass secret", "user limited on >pw ~* +@all")
	as := func(user, password string) func(*redis.Options) {
		return func(o *redis.Options) { o.Username, o.Password = user, password }
	}
	gone := at(t, plain)
	gone.Addresses = []doctor.Address{{Network: "tcp", Addr: redistest.FreeAddr(t)}}
	socket := at(t, plain)
	socket.Addresses = []doctor.Address{{Network: "unix", Addr: "/nowhere/redis.sock"}}
	database := at(t, plain, func(o *redis.Options) { o.DB = 99 })
	certificates := redistest.NewCertificates(t)
	encrypted := at(t, plain)
	encrypted.Addresses[0].TLS = certificates.Client
	replica := redistest.Start(t, "replicaof 127.0.0.1 "+plain.Addr[strings.LastIndexByte(plain.Addr, ':')+1:])
	for _, test := range []struct {
		name       string
		c          doctor.Config
		check      string
		found, fix string
	}{
		{"nothing listens", gone, "connection", "nothing listens", "start Redis"},
		{"no socket", socket, "connection", "there is no socket", "unixsocket /nowhere/redis.sock"},
		{"no password", at(t, locked), "login", "wants a user or a password", "CLOAKROOM_REDIS_URL"},
		{"wrong password", at(t, locked, as("limited", "wrong")), "login", "does not take the password of user limited", "ACL GETUSER limited"},
		{"no such user", at(t, locked, as("nobody", "pw")), "login", "user nobody", "ACL GETUSER nobody"},
		{"no such database", database, "login", "no database of this number", "databases"},
		{"TLS where there is none", encrypted, "tls", "does not speak TLS", "redis://"},
		{"a replica", at(t, replica), "server", "is a replica of 127.0.0.1", "must lead to the master, " + plain.Addr},
	} {
		all := examine(t, test.c)
		all.has(t, test.check, doctor.Fail, test.found, test.fix)
		if text := all.String(); strings.Contains(text, "secret") || strings.Contains(text, "wrong") { // I6
			t.Errorf("%s: a password is shown: %s", test.name, text)
		}
	}
}

// A Redis that loads its data says how far it is.
func TestExamine_Loading(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "enable-debug-command yes", "loading-process-events-interval-bytes 1024")
	admin := s.Client(t)
	if err := admin.Do(t.Context(), "EVAL", "for i = 1, 20000 do redis.call('SET', i, i) end", 0).Err(); !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if err := admin.ConfigSet(t.Context(), "key-load-delay", "1000").Err(); err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan error, 1)
	go func() {
		reloaded <- s.Client(t).Do(context.Background(), "DEBUG", "RELOAD").Err()
	}()
	for admin.Ping(t.Context()).Err() == nil { // until it loads
	}
	examine(t, at(t, s)).has(t, "login", doctor.Fail, "loading its data", "wait")
	if err := admin.ConfigSet(t.Context(), "key-load-delay", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
}

// A Redis that takes connections and is silent does not hang the doctor.
func TestExamine_Silent(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := at(t, s)
	s.Pause()
	defer s.Resume()
	examine(t, c).has(t, "login", doctor.Fail, "does not answer", "does it hang")
}

// When the caller gives up, so does the examination.
func TestExamine_Cancelled(t *testing.T) {
	s := redistest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	doctor.Examine(ctx, at(t, s), func(doctor.Finding) {})
}

func TestExamine_TLS(t *testing.T) {
	certificates := redistest.NewCertificates(t)
	s := redistest.StartSentinels(t, redistest.SentinelConfig{
		Access: redistest.Access{User: "u", Password: "secret", Certificates: certificates}, User: "w", Password: "watch", Conf: healthy,
	})
	client := s.Client(t)
	master := s.Master().Client(t)
	c := doctor.Config{
		Client: client, Options: master.Options(), User: "u", Password: true, Prefix: keys.DefaultPrefix, Near: true,
		Rights: acl.Needed(cache.Rights(), acl.Near),
		Master: redistest.MasterName,
		Sentinel: &redis.Options{
			Username: "w", Password: "watch", TLSConfig: certificates.Client, MaxRetries: -1, ContextTimeoutEnabled: true,
			DisableIdentity: true, MaintNotificationsConfig: master.Options().MaintNotificationsConfig,
		},
	}
	for _, addr := range s.Addrs() {
		c.Addresses = append(c.Addresses, doctor.Address{Network: "tcp", Addr: addr, TLS: certificates.Client})
	}
	all := examine(t, c)
	for _, f := range all {
		if f.Status != doctor.OK && !(f.Check == "tls" && strings.Contains(f.Found, "ends in")) { // it is valid for a day
			t.Errorf("%+v", f)
		}
	}
	all.has(t, "login", doctor.OK, "the master "+redistest.MasterName+" is "+s.Master().Addr, "")
	all.has(t, "replicas", doctor.OK, "1 ready", "")

	wrong := c
	wrong.Master = "another"
	examine(t, wrong).has(t, "login", doctor.Fail, "knows no master another", "SENTINEL MASTERS")
	wrong = c
	wrong.Addresses = []doctor.Address{{Network: "tcp", Addr: s.Addrs()[0]}}
	wrong.Sentinel = &redis.Options{MaxRetries: -1, ContextTimeoutEnabled: true, MaintNotificationsConfig: master.Options().MaintNotificationsConfig}
	examine(t, wrong).has(t, "login", doctor.Fail, "no Sentinel", "26379")
}

func TestExamine_Cluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{Conf: append(slices.Clone(healthy), "cluster-require-full-coverage no")})
	client := cluster.Client(t)
	c := doctor.Config{
		Client: client, Options: cluster.Nodes[0].Client(t).Options(), Prefix: keys.DefaultPrefix, Near: true,
		Rights: acl.Needed(slices.Concat(cache.Rights(), doctor.Rights()), acl.Near|acl.Cluster),
	}
	for _, addr := range cluster.Addrs() {
		c.Addresses = append(c.Addresses, doctor.Address{Network: "tcp", Addr: addr})
	}
	all := examine(t, c)
	all.well(t, append([]string{"cluster"}, every...)...)
	all.has(t, "cluster", doctor.OK, "3 masters", "")
	all.has(t, "shards", doctor.OK, "the first serve will record 32", "")

	c.Shards = 2
	examine(t, c).has(t, "shards", doctor.Warn, "2, for 3 masters", "larger --redis-shards")
}

// A Cluster's URL that leads to a single server says so.
func TestExamine_NoCluster(t *testing.T) {
	s := redistest.Start(t, healthy...)
	c := at(t, s)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.Addr}})
	t.Cleanup(func() { _ = client.Close() })
	c.Client = client
	examine(t, c).has(t, "cluster", doctor.Fail, "cluster support disabled", "use redis://")
}
