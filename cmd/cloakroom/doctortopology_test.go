package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

func kindRows() []consultation {
	return []consultation{
		{"--redis-url redis://HOST:PORT", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("memory:"), func(*testing.T, string) []string { return at(s) }
		}},
		{"--redis-url must lead to the master", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "repl-diskless-sync yes", "repl-diskless-sync-delay 0")
			r := soundServer(t, "replicaof 127.0.0.1 "+s.Addr[strings.LastIndexByte(s.Addr, ':')+1:])
			eventually.Holds(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "state=online") })
			return at(r), func(t *testing.T, fix string) []string { return to("redis://" + named(t, fix, s.Addr)) }
		}},
		{"--redis-url must lead to one server alone", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "repl-diskless-sync yes", "repl-diskless-sync-delay 0")
			r := soundServer(t, "replicaof 127.0.0.1 "+s.Addr[strings.LastIndexByte(s.Addr, ':')+1:])
			eventually.Holds(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "state=online") })
			return to("redis://" + balance(t, s.Addr, r.Addr)), func(t *testing.T, fix string) []string { return to("redis://" + named(t, fix, s.Addr)) }
		}},
		{"use a Redis or Valkey without rename-command", func(t *testing.T) ([]string, follow) {
			s, other := soundServer(t, `rename-command ZREVRANGE ""`), soundServer(t)
			return at(s), func(*testing.T, string) []string { return at(other) }
		}},
	}
}

// named returns addr, which the advice must have.
func named(t *testing.T, fix, addr string) string {
	t.Helper()
	if !strings.Contains(fix, addr) {
		t.Errorf("%s is not named: %s", addr, fix)
	}
	return addr
}

func sentinelRows() []consultation {
	sentinels := func(t *testing.T, user, password string) *redistest.Sentinels {
		return redistest.StartSentinels(t, redistest.SentinelConfig{User: user, Password: password, Conf: sound})
	}
	return []consultation{
		{"--redis-url %s+sentinel://%s/MASTER", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			return at(s.Watchers[0]), func(_ *testing.T, fix string) []string {
				words := strings.FieldsFunc(fix, func(r rune) bool { return r == ' ' || r == ';' })
				return to(strings.Replace(words[1], "/MASTER", "/"+redistest.MasterName, 1))
			}
		}},
		{"--redis-url has the addresses of Sentinels", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			return to("redis+sentinel://" + s.Master().Addr + "/" + redistest.MasterName), func(*testing.T, string) []string { return to(s.URL()) }
		}},
		{"correct the name at the end of --redis-url", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			return to("redis+sentinel://" + s.Addrs()[0] + "/another"), func(t *testing.T, _ string) []string {
				return to("redis+sentinel://" + s.Addrs()[0] + "/" + named(t, fmt.Sprint(s.Watchers[0].Do("SENTINEL", "MASTERS")), redistest.MasterName))
			}
		}},
		{"--redis-sentinel-username and --redis-sentinel-password-file", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "w", "watch")
			return to(s.URL()), func(t *testing.T, _ string) []string {
				return to(s.URL(), "--redis-sentinel-username=w", "--redis-sentinel-password-file="+password(t, "watch"))
			}
		}},
		{"the second line of `cloakroom acl --sentinel`", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			for _, w := range s.Watchers {
				command(w, "ACL SETUSER app on >pw -@all +ping")
			}
			pw := password(t, "pw")
			return to(s.URL(), "--redis-sentinel-username=app", "--redis-sentinel-password-file="+pw), func(t *testing.T, _ string) []string {
				lines := strings.Split(line(t, "--sentinel", "--user=app", "--password-file="+pw), "\n")
				for _, w := range s.Watchers {
					command(w, lines[1])
				}
				return nil
			}
		}},
		{"does it hang? its log says", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			for _, w := range s.Watchers {
				w.Pause()
			}
			return to(s.URL()), func(*testing.T, string) []string {
				for _, w := range s.Watchers {
					w.Resume()
				}
				return nil
			}
		}},
		{"if that lasts, the Sentinels do not reach each other", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			monitor := func(addr string) {
				s.Watchers[2].Do("SENTINEL", "REMOVE", redistest.MasterName)
				_, port, _ := net.SplitHostPort(addr)
				s.Watchers[2].Do("SENTINEL", "MONITOR", redistest.MasterName, "127.0.0.1", port, 2)
			}
			master := s.Master().Addr
			alone := soundServer(t) // what it watches until the advice is followed
			monitor(alone.Addr)
			return to(s.URL()), func(*testing.T, string) []string { monitor(master); return nil }
		}},
		{"add a replica on another machine", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			s.Servers[1].Kill()
			master := s.Master()
			eventually.Holds(t, "the end of the replica", func() bool { return field(master, "connected_slaves") == "0" })
			return to(s.URL()), func(t *testing.T, _ string) []string {
				_, port, _ := net.SplitHostPort(master.Addr)
				redistest.Start(t).Do("REPLICAOF", "127.0.0.1", port)
				eventually.Holds(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(master.Do("INFO", "replication")), "state=online") })
				return nil
			}
		}},
	}
}

func clusterRows() []consultation {
	cluster := func(t *testing.T) *redistest.Cluster {
		return redistest.StartCluster(t, redistest.ClusterConfig{Conf: sound})
	}
	broken := func(t *testing.T) ([]string, func()) {
		c := cluster(t)
		for _, n := range c.Nodes {
			n.Do("CONFIG", "SET", "cluster-replica-no-failover", "yes")
		}
		gone := c.Master(0)
		gone.Stop()
		asks := c.Nodes[1].Client(t)
		eventually.Holds(t, "the failure", func() bool { return strings.Contains(asks.ClusterInfo(t.Context()).Val(), "cluster_slots_fail:5") })
		return to(c.URL()), func() {
			gone.Restart()
			c.WaitReady()
		}
	}
	restart := func(advice string) consultation {
		return consultation{advice, func(t *testing.T) ([]string, follow) {
			args, mend := broken(t)
			return args, func(*testing.T, string) []string { mend(); return nil }
		}}
	}
	return []consultation{
		restart("bring their master back, or promote its replica"),
		restart("`redis-cli CLUSTER NODES` marks them"),
		{"--redis-url %s+cluster://%s", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			return at(c.Nodes[2].Server), func(_ *testing.T, fix string) []string {
				return to(strings.FieldsFunc(fix, func(r rune) bool { return r == ' ' || r == ';' })[1])
			}
		}},
		{"it is no Cluster: use redis://", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis+cluster://" + s.Addr), func(*testing.T, string) []string { return at(s) }
		}},
		{"`redis-cli -c CLUSTER SHARDS` says", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "cluster-enabled yes")
			return to("redis+cluster://" + s.Addr), func(t *testing.T, _ string) []string {
				s.Do("CLUSTER", "ADDSLOTSRANGE", 0, redistest.Slots-1)
				eventually.Holds(t, "the Cluster", func() bool { return strings.Contains(fmt.Sprint(s.Do("CLUSTER", "INFO")), "cluster_state:ok") })
				return nil
			}
		}},
		{"`redis-cli --cluster check HOST:PORT` says", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "cluster-enabled yes")
			s.Do("CLUSTER", "ADDSLOTSRANGE", 0, redistest.Slots-1)
			s.Restart() // a master that starts waits two seconds before it serves
			return to("redis+cluster://" + s.Addr), func(t *testing.T, _ string) []string {
				eventually.Holds(t, "the Cluster", func() bool { return strings.Contains(fmt.Sprint(s.Do("CLUSTER", "INFO")), "cluster_state:ok") })
				return nil
			}
		}},
		{"`cloakroom acl --cluster` prints", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			for _, n := range c.Nodes {
				command(n.Server, "ACL SETUSER app on >pw ~* &* +@all -cluster")
			}
			return to(strings.Replace(c.URL(), "://", "://app:pw@", 1)), func(t *testing.T, _ string) []string {
				for _, n := range c.Nodes {
					command(n.Server, line(t, "--cluster", "--doctor", "--user=app", "--password-file="+password(t, "pw")))
				}
				return nil
			}
		}},
		{"start anew under another --redis-key-prefix", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			return to(c.URL(), "--redis-shards=2"), func(*testing.T, string) []string {
				return to(c.URL(), "--redis-shards=32", "--redis-key-prefix=new:")
			}
		}},
		{"set all machines by NTP", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			wrong := c.Master(0)
			_, own, _ := net.SplitHostPort(wrong.Addr)
			_, port, _ := net.SplitHostPort(between(t, wrong.Addr, "", ahead(3600)))
			announce := func(port string) {
				wrong.Do("CONFIG", "SET", "cluster-announce-port", port)
				asks := c.Nodes[1].Client(t)
				eventually.Holds(t, "the port", func() bool {
					return strings.Contains(asks.Do(t.Context(), "CLUSTER", "NODES").String(), "127.0.0.1:"+port+"@")
				})
			}
			announce(port)
			return to("redis+cluster://" + c.Nodes[1].Addr), func(*testing.T, string) []string { announce(own); return nil }
		}},
	}
}
