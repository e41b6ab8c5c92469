package torture

import (
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// topology starts what a world's sessions are on, and returns the URL of each process.
type topology func(w *world, conf []string) (urls []string)

// userOf are lines of redis.conf for one server.
const userOf = "user " + user + " on >" + password + " ~* &* +@all"

func urlOf(addr string) string { return "redis://" + user + ":" + password + "@" + addr + "/0" }

// oneRedis is one server. The network is between it and the first two processes; the third is on its machine.
func oneRedis(w *world, conf []string) []string {
	w.server = redistest.Start(w.t, append([]string{userOf}, conf...)...)
	w.direct = w.server.Client(w.t)
	w.proxy = redistest.NewProxy(w.t, w.server.Addr)
	return []string{urlOf(w.proxy.Addr), urlOf(w.proxy.Addr), urlOf(w.server.Addr)}
}

// withReplica is a master and its replica. Two processes know an address that leads to the master, the third knows the master.
func withReplica(w *world, conf []string) []string {
	urls := oneRedis(w, append(conf, "repl-diskless-sync-delay 0"))
	w.replica = redistest.Start(w.t, append([]string{userOf, "repl-diskless-sync-delay 0", "replicaof " + strings.Replace(w.server.Addr, ":", " ", 1)}, conf...)...)
	w.synced()
	return urls
}

// movable is a master and its replica, where all processes know the master by the address.
func movable(w *world, conf []string) []string {
	urls := withReplica(w, conf)
	urls[2] = urls[0]
	return urls
}

// watched is a master with a replica, which Sentinels name.
func watched(w *world, conf []string) []string {
	access := redistest.Access{User: user, Password: password}
	w.sentinels = redistest.StartSentinels(w.t, redistest.SentinelConfig{Access: access, Conf: conf})
	w.server, w.replica = w.sentinels.Servers[0], w.sentinels.Servers[1]
	w.direct = w.server.Client(w.t)
	u := w.sentinels.URL()
	return []string{u, u, u}
}

// clustered is a Cluster of three masters with a replica each. The first process is told of replicas only, the second of an
// address that is balanced over all nodes, the third of all nodes.
func clustered(w *world, conf []string) []string {
	access := redistest.Access{User: user, Password: password}
	w.cluster = redistest.StartCluster(w.t, redistest.ClusterConfig{Access: access, Conf: conf})
	w.proxy = redistest.NewProxy(w.t, w.cluster.Nodes[0].Addr)
	w.proxy.Lead(w.cluster.Addrs()...)
	u := "redis+cluster://" + user + ":" + password + "@"
	return []string{u + strings.Join(w.cluster.Addrs()[3:], ","), u + w.proxy.Addr, w.cluster.URL()}
}

// client returns a client of the present master, or masters.
func (w *world) client() redis.UniversalClient {
	if w.cluster != nil {
		return w.cluster.Client(w.t)
	}
	return w.server.Client(w.t)
}

// synced waits until the replica has all that the master has written so far.
func (w *world) synced() {
	w.t.Helper()
	ok := eventually.Within(patience, func() bool {
		master, replica := infoOf(w.server, "replication"), infoOf(w.replica, "replication")
		return replica["master_link_status"] == "up" && replica["slave_repl_offset"] == master["master_repl_offset"]
	})
	if !ok {
		w.t.Fatal("the replica does not follow its master")
	}
}

// infoOf returns a section of INFO.
func infoOf(s *redistest.Server, section string) map[string]string {
	text, _ := s.Do("INFO", section).(string)
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// fence has the master take no writes any more, as a failover begins, and waits until the replica has all. What the master
// has acknowledged is not lost then.
func (w *world) fence() {
	w.t.Helper()
	w.server.Do("CONFIG", "SET", "min-replicas-to-write", 99)
	w.synced()
}

// demote makes a server a replica whose link is down. It keeps what it has.
func (w *world) demote(s *redistest.Server) {
	w.t.Helper()
	s.Do("REPLICAOF", "127.0.0.1", "1") // nobody is there
	w.changed = w.h.now()
}

// lead has the address lead to other servers.
func (w *world) lead(to ...*redistest.Server) {
	addrs := make([]string, len(to))
	for i, s := range to {
		addrs[i] = s.Addr
	}
	w.proxy.Lead(addrs...)
	w.changed = w.h.now()
}

// again makes the demoted server the master that it was.
func (w *world) again() {
	w.t.Helper()
	w.server.Do("REPLICAOF", "NO", "ONE")
	w.changed = w.h.now()
}

// moved notes that another server is the master since an instant, and everybody may know it now.
func (w *world) moved(since instant) {
	w.changed = w.h.now()
	w.moves = append(w.moves, span{since, w.changed})
}

// promote makes the replica the master, and has the address lead there. The old one may go on answering its connections.
func (w *world) promote() {
	w.t.Helper()
	begun := w.h.now()
	w.replica.Do("REPLICAOF", "NO", "ONE")
	w.lead(w.replica)
	w.moved(begun)
	w.server, w.replica = w.replica, w.server
	w.direct = w.server.Client(w.t)
}
