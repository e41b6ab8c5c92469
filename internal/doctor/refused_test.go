package doctor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

func port(s *redistest.Server) string { return s.Addr[strings.LastIndexByte(s.Addr, ':')+1:] }

// neverAsks checks that nobody is asked whether a Redis is one, and that every
// check has its say.
func (all findings) neverAsks(t *testing.T) {
	t.Helper()
	if text := all.String(); strings.Contains(text, "is it a Redis") {
		t.Errorf("it is a Redis:\n%s", text)
	}
	for _, check := range every {
		if !slices.ContainsFunc(all, func(f doctor.Finding) bool { return f.Check == check }) {
			t.Errorf("nothing is said of %s:\n%s", check, all)
		}
	}
}

// What a server refuses is told by the check that looks at it, in the words of
// the server, and the other checks go on.
func TestExamine_RefusedCommands(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, append(slices.Clone(healthy), "repl-diskless-sync yes", "repl-diskless-sync-delay 0")...)
	replica := redistest.Start(t, append(slices.Clone(healthy), "replicaof 127.0.0.1 "+port(master))...)
	alone := redistest.Start(t, append(slices.Clone(healthy), "min-replicas-to-write 1")...)
	full := redistest.Start(t, append(slices.Clone(healthy), "maxmemory 1mb")...)
	for _, test := range []struct {
		name, check, found string
		server             *redistest.Server
		under              string
	}{
		{"NOREPLICAS", "replicas", "Redis refuses writes", alone, "mend what is named under replicas"},
		{"OOM", "memory", "new sessions are refused", full, "mend what is named under memory"},
		{"READONLY", "server", "is a replica of " + master.Addr, replica, "mend what is named under server"},
	} {
		all := examine(t, at(t, test.server))
		all.has(t, test.check, doctor.Fail, test.found, "")
		all.has(t, "tracking", doctor.Skip, test.name, test.under)
		all.has(t, "login", doctor.OK, "as user default", "")
		all.neverAsks(t)
	}

	replica.Do("CONFIG", "SET", "replica-serve-stale-data", "no")
	master.Stop()
	asks := replica.Client(t)
	eventually.Holds(t, "MASTERDOWN", func() bool { return redis.HasErrorPrefix(asks.Ping(t.Context()).Err(), "MASTERDOWN") })
	all := examine(t, at(t, replica))
	all.has(t, "server", doctor.Fail, "is a replica of "+master.Addr, "must lead to the master, "+master.Addr)
	all.has(t, "login", doctor.OK, "see server", "")
	all.neverAsks(t)

	replica.Do("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info", "-role")
	all = examine(t, at(t, replica, as("app", "pw")))
	all.has(t, "server", doctor.Fail, "a replica that has lost its master", "must lead to the master")
}

func as(user, password string) func(*redis.Options) {
	return func(o *redis.Options) { o.Username, o.Password = user, password }
}

// A Redis that cannot save is named, also where INFO is forbidden and where the
// server is one of our own.
func TestExamine_CanNotSave(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, append(slices.Clone(healthy), "save 3600 1", "enable-protected-configs yes")...)
	dir := filepath.Join(filepath.Dir(s.Socket), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "dir", dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	s.Do("SET", "some", "thing")
	s.Do("BGSAVE")
	asks := s.Client(t)
	eventually.Holds(t, "MISCONF", func() bool { return redis.HasErrorPrefix(asks.Ping(t.Context()).Err(), "MISCONF") })
	s.Do("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info")
	private := at(t, s)
	private.Private = true
	for name, c := range map[string]doctor.Config{"INFO": at(t, s), "no INFO": at(t, s, as("app", "pw")), "ours": private} {
		all := examine(t, c)
		all.has(t, "persistence", doctor.Fail, "MISCONF Redis is configured to save RDB snapshots", "then BGSAVE")
		all.has(t, "latency", doctor.OK, "a round trip takes", "")
		if name != "ours" {
			all.neverAsks(t)
		}
	}
	s.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
	examine(t, at(t, s)).has(t, "persistence", doctor.Warn, "rdb_last_bgsave_status is err", "then BGSAVE")
}

// A URL of one server that leads to a Cluster is told so, whatever the node has
// and whatever is forbidden; another key prefix would not help.
func TestExamine_ClusterBehindOneAddress(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{Conf: healthy})
	renamed := redistest.StartCluster(t, redistest.ClusterConfig{Conf: append(slices.Clone(healthy), `rename-command HELLO ""`)})
	for _, c := range []*redistest.Cluster{cluster, renamed} {
		for _, n := range c.Nodes {
			n.Do("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info", "-role", "-cluster")
			for _, option := range []func(*redis.Options){func(*redis.Options) {}, as("app", "pw"), func(o *redis.Options) { o.DB = 2 }} {
				all := examine(t, at(t, n.Server, option))
				if text := all.String(); strings.Contains(text, "prefix") || strings.Contains(text, "is it a Redis") {
					t.Errorf("%s: %s", n.Addr, text)
				}
				if last := all[len(all)-1]; last.Status != doctor.Fail || !strings.Contains(strings.Join(last.Fix, ""), "redis+cluster://"+n.Addr) {
					t.Errorf("%s: %s", n.Addr, all)
				}
			}
		}
	}
}

// A user who may not read the number of shards is not told to take another prefix.
func TestExamine_ShardsNotSeen(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, append(slices.Clone(healthy), "user app on >pw ~* &* +@all -get")...)
	all := examine(t, at(t, s, as("app", "pw")))
	all.has(t, "shards", doctor.Skip, "could not see the number of shards", "named under rights")
	if text := all.String(); strings.Contains(text, "another --redis-key-prefix") {
		t.Error(text)
	}
}

// Where neither ROLE nor INFO is allowed, HELLO tells that it is a master, and not which one; where that is not there, nothing proves it.
func TestExamine_NothingProvesAMaster(t *testing.T) {
	t.Parallel()
	conf := append(slices.Clone(healthy), "user app on >pw ~* &* +@all -role -info", "user half on >pw ~* &* +@all -info")
	s := redistest.Start(t, conf...)
	examine(t, at(t, s, as("app", "pw"))).has(t, "server", doctor.Warn, "it is a master by HELLO alone", "ACL SETUSER app +role +info")
	examine(t, at(t, s, as("half", "pw"))).has(t, "server", doctor.OK, "it is a master", "")
	mute := redistest.Start(t, append(conf, `rename-command HELLO ""`)...)
	examine(t, at(t, mute, as("app", "pw"))).has(t, "server", doctor.Warn, "nothing proves that a master answers", "ACL SETUSER app +role +info")
}
